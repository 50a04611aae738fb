"""Test training batches, which depend only on the seed and the index of the sample, with any cache or prefetching."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from impasto.images import Picture
from impasto.training import datasets
from impasto.training.datasets import MAX_CROP_FACTOR, MAX_SIDE_FACTOR, PREFETCH, Dataset

CROP = 16


def save(path: Path, levels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(levels).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return folders of seven photos and five paintings of noise, in different sizes."""
    generator = np.random.default_rng(0)
    for kind, count in (("photos", 7), ("paintings", 5)):
        for i in range(count):
            save(tmp_path / kind / f"{i}.png", generator.integers(0, 256, (20 + 9 * i, 50, 3), dtype=np.uint8))
    return tmp_path / "photos", tmp_path / "paintings"


@pytest.fixture
def grays(tmp_path: Path) -> Path:
    """Return a folder of eight uniform pictures with a level of ten times their name."""
    for i in range(8):
        save(tmp_path / "grays" / f"{i}.png", np.full((20, 20, 3), 10 * i, dtype=np.uint8))
    return tmp_path / "grays"


def shown(data: Dataset, first: int, count: int, kind: str = "photo") -> list[int]:
    """Return the names of the uniform pictures that the samples show."""
    samples = [data.batch(0, [i])[kind] for i in range(first, first + count)]
    return [round(sample.mean().item() * 25.5) for sample in samples]


def equal(one: datasets.Batch, other: datasets.Batch) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ------------------------------------------------------------------------------------------------- contents


def test_a_batch_has_crops_of_both_kinds_in_range_and_a_seed_per_sample(folders: tuple[Path, Path]) -> None:
    batch = Dataset(*folders, CROP, batch=6).batch(0)
    for kind in ("photo", "painting"):
        assert (batch[kind].shape, batch[kind].dtype) == ((6, 3, CROP, CROP), torch.float32)
        assert 0 <= batch[kind].min() < 0.3 < 0.7 < batch[kind].max() <= 1
    assert (batch["seed"].shape, batch["seed"].dtype) == ((6,), torch.int64)
    assert set(Dataset(folders[0], None, CROP).batch(0)) == {"photo", "seed"}


def test_a_batch_depends_on_the_step_and_not_on_earlier_batches(folders: tuple[Path, Path]) -> None:
    used, fresh = Dataset(*folders, CROP), Dataset(*folders, CROP)
    for step in (3, 0, 7, 1):
        used.batch(step)
    assert equal(used.batch(5), fresh.batch(5))
    assert not equal(fresh.batch(5), fresh.batch(6))
    assert not equal(Dataset(*folders, CROP, 1).batch(5), fresh.batch(5))


def test_parts_of_a_batch_are_slices_of_the_batch(folders: tuple[Path, Path]) -> None:
    data = Dataset(*folders, CROP, batch=6)
    full, parts = data.batch(4), [data.batch(4, range(0, 2)), data.batch(4, range(2, 6))]
    assert equal(full, {name: torch.cat([part[name] for part in parts]) for name in full})


def test_the_index_of_the_samples_continues_from_step_to_step(folders: tuple[Path, Path]) -> None:
    twos, threes = Dataset(*folders, CROP, batch=2), Dataset(*folders, CROP, batch=3)
    samples = [torch.cat([data.batch(i)["photo"] for i in range(6 // data.batch_size)]) for data in (twos, threes)]
    assert torch.equal(*samples)


def test_every_sample_has_a_different_seed_that_does_not_depend_on_the_pictures(folders: tuple[Path, Path]) -> None:
    seeds = torch.cat([Dataset(*folders, CROP).batch(step)["seed"] for step in range(20)])
    assert len(set(seeds.tolist())) == 160
    assert seeds.min() >= 0
    assert torch.equal(seeds[:8], Dataset(folders[1], None, CROP).batch(0)["seed"])
    assert not torch.equal(seeds[:8], Dataset(*folders, CROP, 1).batch(0)["seed"])


def test_every_picture_appears_once_per_epoch_in_a_different_order(grays: Path) -> None:
    data = Dataset(grays, grays, CROP)
    epochs = [shown(data, 8 * epoch, 8) for epoch in range(3)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, shown(data, 0, 8, "painting")]}) == 4


def test_crops_are_mirrored_half_the_time_and_cover_one_to_two_crops_of_the_picture(tmp_path: Path) -> None:
    ramp = np.arange(0, 192, dtype=np.uint8)[None, :, None].repeat(60, 0).repeat(3, 2)  # one level per pixel
    save(tmp_path / "ramp.png", ramp)
    data = Dataset(tmp_path, None, CROP)
    middle = torch.stack([data.batch(0, [i])["photo"][0, 0, CROP // 2] for i in range(200)]) * 255  # (200, CROP)
    slopes = (middle[:, -4] - middle[:, 3]) / (CROP - 7)  # levels per pixel: the factor of the reduction
    assert 70 < (slopes < 0).sum() < 130
    scales = slopes.abs()
    assert 0.95 < scales.min() < 1.1
    assert MAX_CROP_FACTOR - 0.1 < scales.max() < MAX_CROP_FACTOR + 0.05
    assert middle.mean(1).max() - middle.mean(1).min() > 120  # at all positions of the picture


# ------------------------------------------------------------------------------------------------- memory, threads


def test_prefetched_batches_are_the_same_in_the_same_order(folders: tuple[Path, Path]) -> None:
    data = Dataset(*folders, CROP, batch=4)
    for first, last in ((0, 10), (3, 5), (2, 2), (0, PREFETCH)):
        batches = list(data.batches(first, last, range(1, 3)))
        assert len(batches) == last - first
        assert all(equal(data.batch(first + i, range(1, 3)), batch) for i, batch in enumerate(batches))


def test_closing_the_iterator_ends_the_background_thread(folders: tuple[Path, Path]) -> None:
    batches = Dataset(*folders, CROP).batches(0, 1_000_000)
    next(batches)
    assert any(thread.name.startswith("pictures") for thread in threading.enumerate())
    batches.close()  # type: ignore[attr-defined]
    assert not any(thread.name.startswith("pictures") for thread in threading.enumerate())


def count_decoding(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each file is decoded."""
    counts: Counter[str] = Counter()
    decode: Callable[..., Picture] = datasets.open_picture

    def load(path: Path) -> Picture:
        counts[path.name] += 1
        return decode(path)

    monkeypatch.setattr(datasets, "open_picture", load)
    return counts


def test_the_hidden_colors_of_a_photo_are_not_trained_on(tmp_path: Path) -> None:
    levels = np.full((24, 24, 4), 200, np.uint8)
    levels[:, 12:] = (0, 0, 0, 0)
    save(tmp_path / "photos" / "cut-out.png", levels)
    batch = Dataset(tmp_path / "photos", None, CROP, 0).batch(0, [0])
    assert batch["photo"].min() > 0.7


def test_pictures_are_decoded_once_if_the_cache_is_large_enough_and_again_if_not(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_decoding(monkeypatch)
    large = Dataset(folders[0], None, CROP)
    expected = [large.batch(step) for step in range(5)]
    assert counts == {f"{i}.png": 1 for i in range(7)}
    counts.clear()
    small = Dataset(folders[0], None, CROP, cache_bytes=20_000)
    assert all(equal(batch, small.batch(step)) for step, batch in enumerate(expected))
    kept = small._cache._kept.values()
    assert sum(levels.nbytes for levels in kept) == small._cache._bytes <= 20_000
    assert len(kept) > 1
    assert counts.total() > 14


def test_the_cache_drops_the_least_recently_used_picture_first(grays: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count_decoding(monkeypatch)
    data = Dataset(grays, None, CROP, cache_bytes=2 * 20 * 20 * 3)
    a, b, c = (data.files["photo"][i] for i in range(3))
    for path in (a, b, a, c, a):
        data._cache.levels(path)
    assert counts == {"0.png": 1, "1.png": 1, "2.png": 1}
    data._cache.levels(b)
    assert counts["1.png"] == 2


def test_the_cache_reduces_large_pictures(tmp_path: Path) -> None:
    save(tmp_path / "large.png", np.zeros((300, 600, 3), dtype=np.uint8))
    data = Dataset(tmp_path, None, CROP)
    levels = data._cache.levels(tmp_path / "large.png")
    assert levels is not None
    assert (levels.shape, levels.dtype) == ((3, MAX_SIDE_FACTOR * CROP, 2 * MAX_SIDE_FACTOR * CROP), torch.uint8)


# ------------------------------------------------------------------------------------------------- errors


def test_an_unusable_picture_gives_one_warning_and_the_next_of_the_epoch_replaces_it(grays: Path) -> None:
    complete = shown(Dataset(grays, None, CROP), 0, 16)
    (grays / "3.png").write_bytes(b"no picture")
    save(grays / "6.png", np.zeros((CROP - 1, 40, 3), dtype=np.uint8))
    data = Dataset(grays, None, CROP)
    with pytest.warns(UserWarning, match="left out") as warned:
        seen = shown(data, 0, 16)
    lines = sorted(str(warning.message) for warning in warned)
    assert len(lines) == 2
    assert lines[0].startswith("left out: ")
    assert "3.png" in lines[0]
    assert "6.png': its 40 x 15 pixels are smaller than a crop of 16" in lines[1]
    assert {3, 6}.isdisjoint(seen)
    for i, (before, after) in enumerate(zip(complete, seen, strict=True)):
        epoch = complete[i // 8 * 8 :][:8]
        following = [epoch[(i + k) % 8] for k in range(8)]
        assert after == next(name for name in following if name not in (3, 6))
        assert before in (3, 6) or after == before


def test_a_folder_without_a_readable_picture_is_a_one_line_error(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(b"no picture")
    data = Dataset(tmp_path, None, CROP)
    with pytest.warns(UserWarning, match="left out"), pytest.raises(ValueError, match="none of its 3 pictures can be"):
        next(data.batches(0, 5))


def test_the_files_are_all_pictures_of_a_folder_and_its_subfolders_sorted(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a.png", "b.webp", "b/1.jpeg"):
        save(tmp_path / name, np.zeros((20, 20, 3), dtype=np.uint8))
    for name in ("notes.txt", "._a.png", "b/3.pt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "c.png").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in Dataset(tmp_path, None, CROP).files["photo"]]
    assert names == ["a.png", "b.webp", "b/1.jpeg", "b/2.JPG"]


def test_the_fingerprint_depends_on_the_names_in_the_folder_but_not_on_its_path(folders: tuple[Path, Path]) -> None:
    before = Dataset(*folders, CROP).fingerprints()
    moved = folders[0].rename(folders[0].with_name("moved"))
    assert Dataset(moved, folders[1], CROP).fingerprints() == before
    (moved / "0.png").rename(moved / "new.png")
    after = Dataset(moved, folders[1], CROP).fingerprints()
    assert after["photo"] != before["photo"]
    assert after["painting"] == before["painting"]


def test_invalid_folders_are_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no training data"):
        Dataset(None, None, CROP)
    with pytest.raises(ValueError, match="absent': it is not a folder; give a folder"):
        Dataset(tmp_path / "absent", None, CROP)
    with pytest.raises(ValueError, match=r"it contains no images; give a folder of JPEG, PNG"):
        Dataset(None, tmp_path, CROP)

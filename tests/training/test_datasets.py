"""Training batches: a pure function of the seed and the number of the sample, whatever is cached or made ahead."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from impasto.training import datasets
from impasto.training.datasets import AHEAD, KEPT, WIDEST, Dataset

CROP = 16


def save(path: Path, levels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(levels).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Seven photos and five paintings of noise, in different sizes."""
    generator = np.random.default_rng(0)
    for kind, count in (("photos", 7), ("paintings", 5)):
        for i in range(count):
            save(tmp_path / kind / f"{i}.png", generator.integers(0, 256, (20 + 9 * i, 50, 3), dtype=np.uint8))
    return tmp_path / "photos", tmp_path / "paintings"


@pytest.fixture
def grays(tmp_path: Path) -> Path:
    """Eight pictures, each of one gray that is ten times its name."""
    for i in range(8):
        save(tmp_path / "grays" / f"{i}.png", np.full((20, 20, 3), 10 * i, dtype=np.uint8))
    return tmp_path / "grays"


def shown(data: Dataset, first: int, count: int, kind: str = "photo") -> list[int]:
    """Names of the gray pictures that the samples show."""
    samples = [data.batch(0, [i])[kind] for i in range(first, first + count)]
    return [round(sample.mean().item() * 25.5) for sample in samples]


def equal(one: datasets.Batch, other: datasets.Batch) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ------------------------------------------------------------------------------------------------- what a batch is


def test_a_batch_holds_crops_of_both_kinds_in_range_and_a_seed_each(folders: tuple[Path, Path]) -> None:
    batch = Dataset(*folders, CROP, batch=6).batch(0)
    for kind in ("photo", "painting"):
        assert (batch[kind].shape, batch[kind].dtype) == ((6, 3, CROP, CROP), torch.float32)
        assert 0 <= batch[kind].min() < 0.3 < 0.7 < batch[kind].max() <= 1
    assert (batch["seed"].shape, batch["seed"].dtype) == ((6,), torch.int64)
    assert set(Dataset(folders[0], None, CROP).batch(0)) == {"photo", "seed"}


def test_a_batch_depends_on_the_step_alone_and_not_on_what_was_asked_before(folders: tuple[Path, Path]) -> None:
    used, fresh = Dataset(*folders, CROP), Dataset(*folders, CROP)
    for step in (3, 0, 7, 1):
        used.batch(step)
    assert equal(used.batch(5), fresh.batch(5))
    assert not equal(fresh.batch(5), fresh.batch(6))
    assert not equal(Dataset(*folders, CROP, 1).batch(5), fresh.batch(5))


def test_shares_of_a_batch_are_slices_of_the_whole(folders: tuple[Path, Path]) -> None:
    data = Dataset(*folders, CROP, batch=6)
    whole, shares = data.batch(4), [data.batch(4, range(0, 2)), data.batch(4, range(2, 6))]
    assert equal(whole, {name: torch.cat([share[name] for share in shares]) for name in whole})


def test_sample_numbers_run_on_from_step_to_step(folders: tuple[Path, Path]) -> None:
    twos, threes = Dataset(*folders, CROP, batch=2), Dataset(*folders, CROP, batch=3)
    samples = [torch.cat([data.batch(i)["photo"] for i in range(6 // data.batch_size)]) for data in (twos, threes)]
    assert torch.equal(*samples)


def test_every_sample_has_another_seed_that_does_not_depend_on_the_pictures(folders: tuple[Path, Path]) -> None:
    seeds = torch.cat([Dataset(*folders, CROP).batch(step)["seed"] for step in range(20)])
    assert len(set(seeds.tolist())) == 160
    assert seeds.min() >= 0
    assert torch.equal(seeds[:8], Dataset(folders[1], None, CROP).batch(0)["seed"])
    assert not torch.equal(seeds[:8], Dataset(*folders, CROP, 1).batch(0)["seed"])


def test_every_picture_comes_once_an_epoch_in_an_order_of_its_own(grays: Path) -> None:
    data = Dataset(grays, grays, CROP)
    epochs = [shown(data, 8 * epoch, 8) for epoch in range(3)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, shown(data, 0, 8, "painting")]}) == 4


def test_crops_are_mirrored_half_the_time_and_cover_one_to_two_crops_of_the_picture(tmp_path: Path) -> None:
    ramp = np.arange(0, 192, dtype=np.uint8)[None, :, None].repeat(60, 0).repeat(3, 2)  # one level a pixel
    save(tmp_path / "ramp.png", ramp)
    data = Dataset(tmp_path, None, CROP)
    middle = torch.stack([data.batch(0, [i])["photo"][0, 0, CROP // 2] for i in range(200)]) * 255  # (200, CROP)
    slopes = (middle[:, -4] - middle[:, 3]) / (CROP - 7)  # levels a pixel: how many pixels became one
    assert 70 < (slopes < 0).sum() < 130
    scales = slopes.abs()
    assert 0.95 < scales.min() < 1.1
    assert WIDEST - 0.1 < scales.max() < WIDEST + 0.05
    assert middle.mean(1).max() - middle.mean(1).min() > 120  # all over the picture


# ------------------------------------------------------------------------------------------------- memory, threads


def test_batches_made_ahead_are_the_same_in_the_same_order(folders: tuple[Path, Path]) -> None:
    data = Dataset(*folders, CROP, batch=4)
    for first, last in ((0, 10), (3, 5), (2, 2), (0, AHEAD)):
        made = list(data.batches(first, last, range(1, 3)))
        assert len(made) == last - first
        assert all(equal(data.batch(first + i, range(1, 3)), batch) for i, batch in enumerate(made))


def test_leaving_early_ends_the_thread_in_the_background(folders: tuple[Path, Path]) -> None:
    batches = Dataset(*folders, CROP).batches(0, 1_000_000)
    next(batches)
    assert any(thread.name.startswith("pictures") for thread in threading.enumerate())
    batches.close()  # type: ignore[attr-defined]
    assert not any(thread.name.startswith("pictures") for thread in threading.enumerate())


def count_decoding(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often each file is decoded."""
    counts: Counter[str] = Counter()
    decode: Callable[..., torch.Tensor] = datasets.load_image

    def load(path: Path) -> torch.Tensor:
        counts[path.name] += 1
        return decode(path)

    monkeypatch.setattr(datasets, "load_image", load)
    return counts


def test_pictures_are_decoded_once_while_they_fit_and_again_where_they_do_not(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_decoding(monkeypatch)
    large = Dataset(folders[0], None, CROP)
    expected = [large.batch(step) for step in range(5)]
    assert counts == {f"{i}.png": 1 for i in range(7)}
    counts.clear()
    small = Dataset(folders[0], None, CROP, cache_bytes=20_000)
    assert all(equal(batch, small.batch(step)) for step, batch in enumerate(expected))
    held = small._cache._held.values()
    assert sum(levels.nbytes for levels in held) == small._cache._bytes <= 20_000
    assert len(held) > 1
    assert counts.total() > 14


def test_the_picture_that_was_not_used_for_longest_is_forgotten_first(
    grays: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = count_decoding(monkeypatch)
    data = Dataset(grays, None, CROP, cache_bytes=2 * 20 * 20 * 3)
    a, b, c = (data.files["photo"][i] for i in range(3))
    for path in (a, b, a, c, a):
        data._cache.levels(path)
    assert counts == {"0.png": 1, "1.png": 1, "2.png": 1}
    data._cache.levels(b)
    assert counts["1.png"] == 2


def test_a_large_picture_is_kept_small_enough_for_its_crops_to_show_something(tmp_path: Path) -> None:
    save(tmp_path / "large.png", np.zeros((300, 600, 3), dtype=np.uint8))
    data = Dataset(tmp_path, None, CROP)
    levels = data._cache.levels(tmp_path / "large.png")
    assert levels is not None
    assert (levels.shape, levels.dtype) == ((3, KEPT * CROP, 2 * KEPT * CROP), torch.uint8)


# ------------------------------------------------------------------------------------------------- what goes wrong


def test_pictures_of_no_use_are_named_once_and_the_next_of_the_epoch_stands_in(grays: Path) -> None:
    whole = shown(Dataset(grays, None, CROP), 0, 16)
    (grays / "3.png").write_bytes(b"no picture")
    save(grays / "6.png", np.zeros((CROP - 1, 40, 3), dtype=np.uint8))
    data = Dataset(grays, None, CROP)
    with pytest.warns(UserWarning, match="left out") as said:
        seen = shown(data, 0, 16)
    lines = sorted(str(warning.message) for warning in said)
    assert len(lines) == 2
    assert lines[0].startswith("left out: ")
    assert "3.png" in lines[0]
    assert "6.png': its 40 x 15 pixels are smaller than a crop of 16" in lines[1]
    assert {3, 6}.isdisjoint(seen)
    for i, (before, after) in enumerate(zip(whole, seen, strict=True)):
        epoch = whole[i // 8 * 8 :][:8]
        following = [epoch[(i + k) % 8] for k in range(8)]
        assert after == next(name for name in following if name not in (3, 6))
        assert before in (3, 6) or after == before


def test_without_one_readable_picture_there_is_one_line(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(b"no picture")
    data = Dataset(tmp_path, None, CROP)
    with pytest.warns(UserWarning, match="left out"), pytest.raises(ValueError, match="none of its 3 pictures can be"):
        next(data.batches(0, 5))


def test_a_folder_is_listed_with_all_below_it_sorted_and_nothing_but_pictures(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "a.png", "b.webp", "b/1.jpeg"):
        save(tmp_path / name, np.zeros((20, 20, 3), dtype=np.uint8))
    for name in ("notes.txt", "._a.png", "b/3.pt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "c.png").mkdir()
    names = [path.relative_to(tmp_path).as_posix() for path in Dataset(tmp_path, None, CROP).files["photo"]]
    assert names == ["a.png", "b.webp", "b/1.jpeg", "b/2.JPG"]


def test_a_fingerprint_knows_the_names_below_the_folder_but_not_where_it_lies(folders: tuple[Path, Path]) -> None:
    before = Dataset(*folders, CROP).fingerprints()
    moved = folders[0].rename(folders[0].with_name("moved"))
    assert Dataset(moved, folders[1], CROP).fingerprints() == before
    (moved / "0.png").rename(moved / "new.png")
    after = Dataset(moved, folders[1], CROP).fingerprints()
    assert after["photo"] != before["photo"]
    assert after["painting"] == before["painting"]


def test_folders_that_cannot_serve_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is nothing to learn from"):
        Dataset(None, None, CROP)
    with pytest.raises(ValueError, match="absent': it is not a folder; give a folder"):
        Dataset(tmp_path / "absent", None, CROP)
    with pytest.raises(ValueError, match=r"it contains no images; give a folder with .avif, .bmp"):
        Dataset(None, tmp_path, CROP)

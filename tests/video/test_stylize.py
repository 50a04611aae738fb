"""A clip is stylized without flicker, follows its motion, and can be resumed at any frame."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from moving_window import SHIFT, SIDE, SIZE, still, window_frames
from small_clip import moving_square, write_video
from support import start_forks

import impasto
from impasto.images import blur
from impasto.types import Step
from impasto.video import open_clip, shot_worker
from impasto.video.details import restore_details
from impasto.video.frame_stylizers import OptimizedFrames, frame_stylizer, recolored, with_strokes
from impasto.video.frames import Content
from impasto.video.motion import FlowEstimator, warp
from impasto.video.settings import VideoSettings

GATYS: dict[str, Any] = {"method": "gatys", "backbone": "tiny", "steps": 12, "frame_steps": 5, "loss_scales": 1}
CASES: dict[str, dict[str, Any]] = {
    "micro": {"method": "micro", "weights": "micro"},
    "gatys": GATYS,
    "three passes, long term and luminance": {
        **GATYS,
        **{"steps": 4, "frame_steps": 3, "passes": 3, "long_term": [2, 3], "color": "luminance"},
    },
}


@pytest.fixture(autouse=True, scope="module")
def forks() -> None:
    start_forks()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("window") / "window.mkv", window_frames(), codec="ffv1", pixels="bgr0")


def pixels_of(path: Path) -> list[np.ndarray]:
    return [frame.pixels for frame in open_clip(path).frames()]


def stylized(clip: Path, output: Path, **settings: Any) -> list[np.ndarray]:
    impasto.stylize_video(clip, "woodcut", output, size=96, **settings)
    return pixels_of(output)


def known_flow() -> tuple[np.ndarray, np.ndarray]:
    """The exact backward flow between two frames without a sprite, and where the earlier frame shows the pixel."""
    flow = np.zeros((*SIZE, 2), np.float32)
    flow[..., 0] = SHIFT
    shown = np.ones(SIZE, bool)
    shown[:, -SHIFT:] = False
    return flow, shown


def flicker(frames: list[np.ndarray]) -> float:
    """Mean absolute difference of each frame from the one before, moved by the exact flow, in 8-bit levels."""
    flow, shown = known_flow()
    differences = [
        np.abs(warp(before, flow)[shown].astype(int) - after[shown]).mean()
        for before, after in itertools.pairwise(frames)
    ]
    return float(np.mean(differences))


def contrast(frame: np.ndarray) -> float:
    """Standard deviation of what is finer than a blur of a pixel, in 8-bit levels."""
    image = torch.from_numpy(frame.astype(np.float32)).permute(2, 0, 1)[None]
    return float((image - blur(image, 1.0)).std())


@pytest.mark.parametrize(
    ("method", "settings", "frame_steps", "steps"),
    [
        ("gatys", {}, None, 10),
        ("gatys", {"quality": "draft"}, None, 5),
        ("gatys", {"quality": "best"}, None, 25),
        ("gatys", {"optimizer": "adam"}, None, 25),
        ("strotss", {}, None, 25),
        ("strotss", {"quality": "draft"}, None, 10),
        ("gpdm", {"quality": "best"}, 7, 7),
    ],
)
def test_a_later_frame_takes_fewer_steps_with_lbfgs_than_with_a_first_order_optimizer(
    method: str, settings: dict[str, Any], frame_steps: int | None, steps: int
) -> None:
    frames = frame_stylizer("woodcut", method, VideoSettings(frame_steps=frame_steps), (64, 96), settings)
    assert isinstance(frames, OptimizedFrames)
    assert frames._following_config.steps == steps


@pytest.mark.parametrize(("method", "least"), [("micro", 1.3), ("gatys", 3.0)])
def test_a_clip_flickers_much_less_than_frames_that_are_stylized_alone(
    tmp_path: Path, method: str, least: float
) -> None:
    frames = window_frames(4, sprite=False)
    clip = write_video(tmp_path / "in.mkv", frames, codec="ffv1", pixels="bgr0")
    together = stylized(clip, tmp_path / "out.mkv", **CASES[method])
    own = {name: value for name, value in CASES[method].items() if name != "frame_steps"}
    alone = [np.array(impasto.stylize(frame, "woodcut", size=96, **own).to_pil()) for frame in frames]
    assert flicker(alone) > least * flicker(together)
    assert contrast(together[-1]) > 0.93 * contrast(alone[-1])


def test_later_passes_bring_the_frames_of_a_shot_closer_together(tmp_path: Path) -> None:
    frames = window_frames(5, sprite=False)
    clip = write_video(tmp_path / "in.mkv", frames, codec="ffv1", pixels="bgr0")
    flow = (len(frames) - 1) * known_flow()[0]
    drifts = []
    for passes in (1, 3):
        first, *_, last = stylized(clip, tmp_path / f"{passes}.mkv", **GATYS, passes=passes)
        drifts.append(np.abs(warp(first, flow).astype(int) - last)[:, : -len(frames) * SHIFT].mean())
    assert drifts[0] > 1.25 * drifts[1]


def test_details_are_restored_where_frames_are_blended_only() -> None:
    fresh, other = torch.rand(2, 64, 96, 3, generator=torch.Generator().manual_seed(0)).numpy()
    weight = np.zeros((64, 96, 1), np.float32)
    weight[:, 48:] = 0.5
    blended = fresh + weight * (other - fresh)
    restored = restore_details(blended, fresh)
    assert np.abs(restored[:, :24] - fresh[:, :24]).max() < 1e-5
    assert contrast(255 * blended[:, 60:]) < 0.75 * contrast(255 * fresh[:, 60:])
    assert contrast(255 * restored[:, 60:]) == pytest.approx(contrast(255 * fresh[:, 60:]), rel=0.05)


@pytest.mark.parametrize(("method", "least"), [("micro", 0.7), ("gatys", 0.5)])
def test_stylized_pixels_follow_the_known_flow_within_a_pixel_and_hidden_areas_are_stylized(
    window: Path, tmp_path: Path, method: str, least: float
) -> None:
    """The sprite moves over the ground; the flow is that of the two, and what the sprite uncovers is known."""
    frames = stylized(window, tmp_path / "out.mkv", **CASES[method])
    own = {name: value for name, value in CASES[method].items() if name != "frame_steps"}
    differences = []
    for index, (before, after) in enumerate(itertools.pairwise(frames), 1):
        flow, visible = known_flow()
        top = 4 + 3 * index
        visible[top - 3 : top - 3 + SIDE, 36 - SHIFT : 36 - SHIFT + SIDE] = False  # the earlier frame shows the sprite
        sprite = np.s_[top : top + SIDE, 36 : 36 + SIDE]
        flow[sprite], visible[sprite] = (0, -3), True
        error = np.linalg.norm(FlowEstimator().flow(after, before) - flow, axis=-1)
        assert (error[visible] < 1).mean() > 0.92
        assert np.percentile(error[sprite][4:-4, 4:-4], 90) < 1.3
        alone = np.array(impasto.stylize(window_frames()[index], "woodcut", size=96, **own).to_pil())
        smear = warp(before, known_flow()[0]).astype(int)  # the sprite, as if it were a part of the ground
        differences.append([np.abs(each - smear)[top - 3 : top, 38:58].mean() for each in (after, alone)])
    here, of_frames_alone = np.mean(differences[1:], 0)
    assert here > least * of_frames_alone


def test_hidden_pixels_start_in_the_colors_of_the_output() -> None:
    """The colors are a function of those of the content, which is found from the part that counts."""
    content = still(size=64)
    r, g, b = content.split(1, 1)
    stylized = torch.cat([0.2 + 0.5 * g, b * r, (1 - b).square()], 1)
    mask = torch.zeros(1, 1, *content.shape[-2:])
    mask[..., :20] = 1
    spoiled = torch.where(mask > 0, stylized, 0.5)
    assert (recolored(content, spoiled, mask) - stylized).abs().mean() < 0.02


def test_hidden_pixels_start_with_strokes() -> None:
    """Where the flow fails in every frame, the output was flat: strokes did not develop in the steps of a frame."""
    content, stylized = torch.full((1, 3, 64, 64), 0.4), still("woodcut", 96)[..., :64, :64]
    start = with_strokes(content, stylized, torch.ones(1, 1, *content.shape[-2:]))
    assert abs(float(start.mean()) - 0.4) < 0.05
    fine = [float((each - blur(each, 1.0)).std()) for each in (content, start, stylized)]
    assert fine[0] < 1e-6
    assert fine[1] > 0.7 * fine[2]


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_is_stopped_at_any_frame_continues_to_the_same_output(
    window: Path, tmp_path: Path, case: str
) -> None:
    whole = stylized(window, tmp_path / "whole.mkv", **CASES[case])
    total = 5 * CASES[case].get("passes", 1)
    for last in (1, total - 2):
        output = tmp_path / f"out{last}.mkv"
        call: dict[str, Any] = {"clip": window, "style": "woodcut", "output": output, "size": 96, **CASES[case]}
        result = impasto.stylize_video(**call, on_frame=lambda step, last=last: np.less(step.index, last))
        assert (result.stopped, result.frames, output.exists()) == ("cancelled", last, False)
        result = impasto.stylize_video(**call)
        assert (result.resumed, result.frames, result.total, result.stopped) == (last, total, total, "steps")
        assert all((a == b).all() for a, b in zip(pixels_of(output), whole, strict=True))
    files = (f"{stem}.{suffix}" for stem in ("out1", f"out{total - 2}", "whole") for suffix in ("json", "mkv"))
    assert {path.name for path in tmp_path.iterdir()} == set(files)


@pytest.mark.parametrize(
    ("corrupt", "data"),
    [
        ("000002.png", b"x"),
        ("pass-2/000003-state.png", b""),
        ("contents/000002-0.png", b"x"),
        ("000001.json", b"x"),
        ("contents/000002-facts.json", b"{"),
    ],
)
def test_a_corrupt_frame_is_computed_again_after_its_files_are_removed(
    window: Path, tmp_path: Path, corrupt: str, data: bytes
) -> None:
    """The advice was to remove the frames after it, which in a pass backward do not depend on it."""
    case = {**CASES["three passes, long term and luminance"], "passes": 2, "steps": 2, "frame_steps": 2}
    whole = stylized(window, tmp_path / "whole.mkv", **case)
    call: dict[str, Any] = {"clip": window, "style": "woodcut", "output": tmp_path / "out.mkv", "size": 96, **case}
    impasto.stylize_video(**call, on_frame=lambda step: step.index < 8)  # in the pass backward, after frame 3
    file = tmp_path / "out.mkv.work" / corrupt
    file.write_bytes(data)
    with pytest.raises(ValueError, match="is corrupt; remove the files") as error:
        impasto.stylize_video(**call)
    pattern = Path(str(error.value).split("'")[3])
    assert pattern.parent == file.parent
    for each in file.parent.glob(pattern.name):
        each.unlink()
    impasto.stylize_video(**call)
    assert all((a == b).all() for a, b in zip(pixels_of(tmp_path / "out.mkv"), whole, strict=True))


@pytest.mark.parametrize("calls", [0, 3, 7, 10])
def test_a_stop_before_the_first_frame_ends_the_run(window: Path, tmp_path: Path, calls: int) -> None:
    """A stop while the 5 frames of the clip, or those of its mask, are read, and before the first shot."""
    asked = itertools.count()
    area = np.zeros((*SIZE, 3), np.uint8)
    area[8:40, 8:40] = 255
    mask = write_video(tmp_path / "mask.mkv", [area] * 5, codec="ffv1", pixels="bgr0")
    settings: dict[str, Any] = {"size": 96, "mask": str(mask), "outside": "keep"}
    result = impasto.stylize_video(
        window, "woodcut", tmp_path / "out.mkv", is_stopped=lambda: next(asked) >= calls, **settings
    )
    assert (result.stopped, result.frames, result.resumed) == ("cancelled", 0, 0)
    assert next(asked) == calls + 1
    assert (tmp_path / "out.mkv.work").exists() == (calls == 10)
    assert result.summary()["frames"] == 0


def test_times_of_years_are_refused_at_a_constant_rate(tmp_path: Path) -> None:
    """They were scanned for ever: 300 million frames."""
    times = [0, 40, 3_000_000_000, 3_000_000_040]
    clip = write_video(tmp_path / "in.mkv", moving_square(3), codec="ffv1", pixels="bgr0", milliseconds=times)
    with pytest.raises(ValueError, match=r"fps: 100 frames per second up to 3e\+06 s are more than 1000000"):
        impasto.stylize_video(clip, "woodcut", tmp_path / "out.mkv", fps=100)
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_a_cut_starts_again_and_equal_shots_get_equal_frames(tmp_path: Path) -> None:
    first, second = moving_square(3), [255 - frame for frame in moving_square(3)]
    clip = write_video(tmp_path / "in.mkv", [*first, *second, *first], codec="ffv1", pixels="bgr0")
    for case in ("micro", "gatys"):
        frames = stylized(clip, tmp_path / f"{case}.mkv", **CASES[case])
        assert all((a == b).all() for a, b in zip(frames[:3], frames[6:], strict=True))
    assert json.loads((tmp_path / "gatys.json").read_text())["shots"] == 3


def test_later_passes_decode_a_clip_no_more_often_than_the_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass backward decoded it again from its first frame for every block of frames."""
    first, second = moving_square(3), [255 - frame for frame in moving_square(3)]
    clip = write_video(tmp_path / "in.mkv", [*first, *second, *first], codec="ffv1", pixels="bgr0")
    counts, whole = [], {}
    read = shot_worker.read_contents

    def counted(*arguments: Any) -> Iterator[Content]:
        for content in read(*arguments):
            counts[-1] += 1
            yield content

    monkeypatch.setattr(shot_worker, "read_contents", counted)
    settings = {**GATYS, "steps": 2, "frame_steps": 2}
    for passes in (1, 2):
        counts.append(0)
        whole[passes] = stylized(clip, tmp_path / f"{passes}.mkv", **settings, passes=passes)
    assert counts[0] == counts[1] <= 2 * 9
    call: dict[str, Any] = {"clip": clip, "style": "woodcut", "output": tmp_path / "out.mkv", "size": 96, **settings}
    impasto.stylize_video(**call, passes=2, on_frame=lambda step: step.index < 10)  # in a pass back of the second shot
    contents = tmp_path / "out.mkv.work" / "contents"
    kept = sorted(file.name for file in contents.glob("*.json"))
    assert kept == [f"00000{number}-facts.json" for number in (4, 5, 6)]
    (contents / kept[1]).unlink()  # a run of which no frame is kept decodes the shot again
    impasto.stylize_video(**call, passes=2)
    assert all((a == b).all() for a, b in zip(pixels_of(tmp_path / "out.mkv"), whole[2], strict=True))


@pytest.mark.parametrize("case", ["micro", "three passes, long term and luminance"])
def test_two_workers_give_the_output_of_one_after_a_stop_and_a_kill(tmp_path: Path, case: str) -> None:
    first, second = moving_square(4), [255 - frame for frame in moving_square(4)]
    clip = write_video(tmp_path / "in.mkv", [*first, *second, *first], codec="ffv1", pixels="bgr0")
    whole = stylized(clip, tmp_path / "whole.mkv", **CASES[case])
    call: dict[str, Any] = {"clip": clip, "style": "woodcut", "output": tmp_path / "out.mkv", "size": 96, "workers": 2}
    call |= CASES[case]
    stopped = impasto.stylize_video(**call, on_frame=lambda step: step.index < 3)
    assert stopped.stopped == "cancelled"
    assert 3 <= stopped.frames < (total := 12 * stopped.passes)
    counts: list[int] = []
    killed = []

    def kill_a_worker(step: Step) -> None:
        if not counts:  # its shot has more frames
            killed.append(multiprocessing.active_children()[0])
            killed[0].kill()
        counts.append(step.index)

    result = impasto.stylize_video(**call, on_frame=kill_a_worker)
    assert (result.resumed, result.frames, result.shots) == (stopped.frames, total, 3)
    assert counts == list(range(stopped.frames + 1, counts[-1] + 1))
    assert [each.exitcode for each in killed] == [-signal.SIGKILL]
    assert counts[-1] >= total - 1  # the worker may have stored one more frame than it reported
    assert all((a == b).all() for a, b in zip(pixels_of(tmp_path / "out.mkv"), whole, strict=True))
    with pytest.raises(ValueError, match="on_step: workers cannot call it"):
        impasto.stylize_video(**call, on_step=print)


def test_the_output_has_the_times_and_an_even_size_and_its_record_the_inputs(tmp_path: Path) -> None:
    times = (0, 20, 100, 130)
    frames = moving_square(3, 49, 65)
    clip = write_video(tmp_path / "in.mkv", frames, milliseconds=times, codec="ffv1", pixels="bgr0")
    result = impasto.stylize_video(clip, "woodcut", tmp_path / "out.mp4", size=0)
    written = open_clip(tmp_path / "out.mp4")
    assert [round(1000 * frame.time) for frame in written.frames()] == list(times[:-1])
    assert written.size == (48, 64)
    record = json.loads((tmp_path / "out.json").read_text())
    assert (record["method"], record["frames"], record["settings"]["size"]) == ("micro", 3, 0)
    assert [entry["name"] for entry in record["inputs"]] == ["in.mkv", "woodcut.jpg"]
    assert result.summary()["frames_per_second"] > 0


def test_every_kind_of_setting_works_on_a_clip(window: Path, tmp_path: Path) -> None:
    """Masks, strength, style scale, several styles, colors and tiles give another output than the defaults."""
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[:, 48:] = 255
    to_write = tmp_path / "mask.png"
    impasto.save_image(impasto.load_image(mask), to_write)
    plain = stylized(window, tmp_path / "plain.mkv", duration=0.08)
    choices: dict[str, dict[str, Any]] = {
        "strength": {"strength": 20},
        "style_scale": {"style_scale": 2},
        "color": {"color": "histogram"},
        "keep": {"mask": str(to_write), "outside": "keep"},
        "adain": {"method": "adain"},
        "johnson": {"method": "johnson"},
    }
    for name, settings in choices.items():
        style = "mosaic" if name == "johnson" else "woodcut"
        output = tmp_path / f"{name}.mkv"
        impasto.stylize_video(window, style, output, size=96, duration=0.08, **settings)
        frames = pixels_of(output)
        assert len(frames) == 2, name
        assert np.abs(frames[1].astype(int) - plain[1]).mean() > 1, name
    two = tmp_path / "two.mkv"
    impasto.stylize_video(window, ["woodcut", "mosaic"], two, size=96, duration=0.08, style_mix=[0.3, 0.7])
    kept = np.abs(pixels_of(tmp_path / "keep.mkv")[1][:, :40].astype(int) - window_frames()[1][:, :40])
    assert kept.mean() < 1
    assert np.abs(pixels_of(two)[1].astype(int) - plain[1]).mean() > 1
    tiles = stylized(window, tmp_path / "tiles.mkv", duration=0.08, tile=64)
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(tiles, plain, strict=True))


def test_frames_of_other_settings_are_not_lost(window: Path, tmp_path: Path) -> None:
    call: dict[str, Any] = {"clip": window, "output": tmp_path / "out.mkv", "size": 96}
    impasto.stylize_video(style="woodcut", **call, on_frame=lambda step: step.index < 2)
    for change in ({"style": "mosaic"}, {"style": "woodcut", "strength": 20}, {"style": "woodcut", "blend": 0.1}):
        with pytest.raises(ValueError, match=r"restart: 2 frames in .* were stylized with another"):
            impasto.stylize_video(**call, **change)
    for wrong in ({"style": "absent.jpg"}, {"style": "woodcut", "strength": 200}):
        with pytest.raises(ValueError, match=r"."):
            impasto.stylize_video(**call, **wrong)
    assert impasto.stylize_video(style="woodcut", **call).resumed == 2
    impasto.stylize_video(style="woodcut", **call, on_frame=lambda step: step.index < 2)
    assert impasto.stylize_video(style="mosaic", **call, restart=True).resumed == 0


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"blend": 1}, "blend: input should be less than 1"),
        ({"long_term": [1]}, r"long_term\.0: input should be greater than or equal to 2"),
        ({"preset": "paper"}, "preset: it is for images"),
        ({"output": "out.avi"}, "its suffix is not that of a clip"),
        ({"size": 12}, "size: frames of 12x8 pixels are too small"),
        ({"sizes": [3]}, "has no setting 'sizes'"),
        ({"passes": 3}, "passes: micro stylizes a frame in one pass and does not use it; leave it out"),
        ({"temporal_weight": 2}, "temporal_weight: micro stylizes a frame in one pass"),
        ({"long_term": [10]}, "long_term: micro stylizes a frame in one pass"),
        ({"frame_steps": 5, "method": "adain"}, "frame_steps: adain stylizes a frame in one pass"),
        ({**GATYS, "blend": 0}, "blend: gatys optimizes each frame and does not use it"),
        ({"start": 100}, "start: 100 s is not before the end of .*, which has 0.2 s"),
    ],
)
def test_a_mistake_gives_one_line_and_no_file(
    window: Path, tmp_path: Path, settings: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=text):
        impasto.stylize_video(**{"clip": window, "style": "woodcut", "output": "out.mp4", **settings})
    assert list(tmp_path.iterdir()) == []


def test_no_warning_is_issued(window: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stylized(window, tmp_path / "out.gif", method="micro")

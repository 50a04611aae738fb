"""The estimated motion is the exact one of constructed clips, and hidden pixels are recognized."""

from __future__ import annotations

import numpy as np
import pytest
from moving_window import KnownMotion, shifted_window, turned_window, window_frames

from impasto.video.motion import FlowEstimator, Motion, Preset, matched, reliability, warp

CASES = {
    "shift": shifted_window(sprite=None),
    "fraction of a pixel": shifted_window(1.5, 0.25, sprite=None),
    "sprite": shifted_window(),
    "turn and zoom": turned_window(),
}


@pytest.mark.parametrize("preset", ["fast", "medium"])
@pytest.mark.parametrize("case", CASES)
def test_the_flow_is_exact_where_it_counts(case: str, preset: Preset) -> None:
    known: KnownMotion = CASES[case]
    motion = FlowEstimator(preset).motion(known.frame, known.earlier)
    error = np.linalg.norm(motion.flow - known.flow, axis=-1)
    counted = motion.weight > 0.5
    assert np.percentile(error[counted], 95) < (1.5 if preset == "fast" else 1)
    assert np.median(error[counted]) < (0.5 if preset == "fast" else 0.2)
    assert counted[~known.hidden].mean() > 0.6


@pytest.mark.parametrize("preset", ["fast", "medium"])
def test_a_small_object_of_a_small_frame_has_its_own_motion(preset: Preset) -> None:
    """Its flow was a mixture with that of its surroundings, because it was computed at half the size or less."""
    earlier, frame = window_frames(2)
    flow = FlowEstimator(preset).motion(frame, earlier).flow[11:27, 40:56]
    assert np.median(np.linalg.norm(flow - (0, -3), axis=-1)) < 0.1


def test_pixels_do_not_count_where_the_frames_differ_although_the_flow_leads_back() -> None:
    known = shifted_window()
    ones = np.ones(known.hidden.shape, np.float32)
    motion = Motion(np.full_like(known.flow, (3, -2)), ones, ones)  # that of the ground, also for the sprite
    found = matched(motion, known.frame, known.earlier)
    inner = known.on_sprite & np.roll(known.on_sprite, (4, 6), (0, 1))
    assert found.weight[inner].mean() < 0.2
    assert np.array_equal(found.weight, found.shown)
    ground = np.s_[4:30, 4:-8]
    assert found.weight[ground].mean() > 0.95
    darker = (known.frame * 0.8).astype(np.uint8)  # a fade
    assert matched(motion, darker, known.earlier).weight[ground].mean() > 0.9


@pytest.mark.parametrize("case", ["shift", "sprite"])
def test_pixels_that_the_earlier_frame_does_not_show_do_not_count(case: str) -> None:
    known: KnownMotion = CASES[case]
    weight = FlowEstimator().motion(known.frame, known.earlier).weight
    assert (weight[known.hidden] < 0.5).mean() > 0.8
    assert (weight[~known.hidden] > 0.5).mean() > 0.6


def test_an_exact_flow_is_reliable_except_at_borders_and_hidden_pixels() -> None:
    known = shifted_window()
    zero = np.zeros_like(known.flow)
    assert (reliability(zero, zero)[0] == 1).all()
    backward = np.full_like(known.flow, 4)
    assert reliability(backward, -backward)[0][:-6, :-6].min() > 0.99
    assert reliability(backward, -backward)[0][-3:].max() < 0.1  # was below the border
    assert reliability(backward, backward)[0].max() == 0  # leads nowhere
    half = backward.copy()
    half[:, :40] = 0
    assert reliability(half, -half)[0][:40, 39:41].max() < 0.7  # the border of an object


@pytest.mark.parametrize("case", CASES)
def test_warping_by_the_exact_flow_gives_the_frame(case: str) -> None:
    known: KnownMotion = CASES[case]
    error = np.abs(warp(known.earlier, known.flow).astype(int) - known.frame).mean(-1)
    assert error[~known.hidden].mean() < 4
    assert error[~known.hidden].mean() < 0.3 * np.abs(known.earlier.astype(int) - known.frame).mean()

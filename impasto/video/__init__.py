"""Stylize video clips: read and write them, and keep the style still where the clip is still."""

from impasto.video.clip import Clip, Frame, open_clip
from impasto.video.writing import check_clip_output, write_clip

__all__ = ["Clip", "Frame", "check_clip_output", "open_clip", "write_clip"]

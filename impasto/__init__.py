"""Neural style transfer: render a content image in the style of another image.

>>> import impasto
>>> result = impasto.stylize("woodcut", "mosaic", backbone="tiny", size=48, steps=2, seed=1)
>>> result.steps
2
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.images import load_image, save_image
    from impasto.pipeline.folder import FolderPlan, plan_folder, stylize_folder
    from impasto.pipeline.plan import Plan
    from impasto.pipeline.replay import replay
    from impasto.pipeline.result import Result
    from impasto.pipeline.stylizer import Stylizer, plan, stylize
    from impasto.training.adapt import Adapted, adapt
    from impasto.types import Image, Step
    from impasto.video.stylize import stylize_video

__all__ = [
    "Adapted",
    "FolderPlan",
    "Image",
    "Plan",
    "Result",
    "Step",
    "Stylizer",
    "adapt",
    "load_image",
    "plan",
    "plan_folder",
    "replay",
    "save_image",
    "stylize",
    "stylize_folder",
    "stylize_video",
]

_MODULES = {  # module that defines each public name
    "Image": "impasto.types",
    "Adapted": "impasto.training.adapt",
    "FolderPlan": "impasto.pipeline.folder",
    "Plan": "impasto.pipeline.plan",
    "Stylizer": "impasto.pipeline.stylizer",
    "Result": "impasto.pipeline.result",
    "Step": "impasto.types",
    "adapt": "impasto.training.adapt",
    "load_image": "impasto.images",
    "plan_folder": "impasto.pipeline.folder",
    "plan": "impasto.pipeline.stylizer",
    "replay": "impasto.pipeline.replay",
    "save_image": "impasto.images",
    "stylize": "impasto.pipeline.stylizer",
    "stylize_folder": "impasto.pipeline.folder",
    "stylize_video": "impasto.video.stylize",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `import impasto` alone stays fast."""
    if name not in _MODULES:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)

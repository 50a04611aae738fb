"""Name the methods, settings and samples on the page in the words of people who take photographs.

The page shows the technical name beside each label. A method or a setting without an entry here, such as one of a
plug-in, is shown under its own name with its own help text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from impasto.methods import METHODS
from impasto.samples import CONTENTS, STYLES


@dataclass(frozen=True)
class Technique:
    """A method as the page shows it."""

    label: str
    sentence: str
    is_first: bool = False
    """Whether it is shown at once; the others are under "More techniques"."""


TECHNIQUES = {
    "gatys": Technique("Classic", "Rich texture and colors of the style; the original method.", True),
    "micro": Technique("Instant", "Finished in a moment, with any style.", True),
    "nnst": Technique("Brushwork", "Large, crisp strokes; far from the photo.", True),
    "unrolled": Technique("Quick, closer", "Finished in a moment; closer to the style than Instant."),
    "adain": Technique("Quick", "Finished in a moment, with more texture than Instant."),
    "wct": Technique("Quick, colorful", "Finished in a moment; the colors and textures of the style."),
    "johnson": Technique("Instant, trained", "Finished in a moment; only for styles that it was trained for."),
    "bures": Technique("Calm", "A bold style with calm colors."),
    "sliced": Technique("Detailed", "Fine strokes; keeps more of the photo."),
    "strotss": Technique("Faithful shapes", "Readable faces and shapes under a strong style. Slow."),
    "mrf": Technique("Matching details", "For similar pictures: a portrait with a portrait, a town with a town."),
    "gpdm": Technique("Patchwork", "Built from small patches of the style."),
}
SETTINGS = {
    "strength": ("Style strength", "0 is your photo, 100 is all style."),
    "style_scale": ("Brush size", "2 doubles the strokes of the style, 0.5 halves them."),
    "size": ("Output size", "Longer side in pixels; larger takes longer."),
    "color": ("Colors", "From the style, or those of your photo."),
    "quality": ("Quality", "Try your choices as drafts, then paint the one you like."),
    "style_mix": ("Blend", "One number per style, in the order shown. Empty: equal parts."),
    "seed": ("Variation", "Random seed: the same number gives the same picture."),
    "device": ("Run on", "auto, cpu, cuda or mps."),
    "start": ("Begin from", "First image of the optimization."),
    "steps": ("Steps", "Number of iterations. Empty: as many as the quality needs."),
    "preset": ("Defaults", "Settings that you leave alone: those of impasto, or of the original paper."),
    "precision": ("Precision", "Automatic is fastest."),
    "outside": ("Black areas of a mask", "A region like the others, or your photo unchanged."),
    "feather": ("Soft edges between regions", "Width of the transition, as a fraction of the longer side."),
    "region_strength": ("Strength per region", "One factor per region, such as 1 0.5. Empty: 1."),
    "region_style_scale": ("Brush size per region", "One factor per region, such as 1 0.5. Empty: 1."),
    "tile": ("Tile size", "In pixels; tiles save memory on large pictures. 0: none. Empty: automatic."),
    "sizes": ("Work up through sizes", "Longer sides in pixels, such as 128 256 512; the last one replaces the size."),
    "lr": ("Step length", "Empty: what suits the optimizer."),
    "history": ("L-BFGS memory", "Number of past steps that L-BFGS uses."),
    "pyramid": ("Pyramid levels", "Optimizes a Laplacian pyramid. 0: the pixels."),
    "tolerance": ("Stop early", "Stop when 25 steps improve the loss by less than this fraction. Empty: by quality."),
    "polish": ("Finishing steps with VGG-19", "Needs weights of 548 MB, which are downloaded only if you allow it."),
    "content_weight": ("Photo weight", "Weight of the content loss."),
    "edge_weight": ("Protect faces and lines", "0 is off; 10 to 100 is visible."),
    "tv_weight": ("Smoothing", "Removes specks. 0 is off."),
    "loss_scales": ("Loss scales", "Number of sizes at which the loss is computed. Empty: automatic."),
    "coarse_style": ("Large forms", "Above 1, the style changes larger forms of the photo."),
    "reductions": ("Refining steps", "Sizes of the steps after the first pass: 4 is a quarter, 1 the full size."),
    "near_scales": ("Extra scales", "More scales near the output size: better, but two to three times slower."),
}
"""Label and hint of each setting."""
CHOICES = {
    "color": {
        "style": "From the style",
        "luminance": "Keep my photo's",
        "moments": "My photo's, softened",
        "histogram": "My photo's, exactly",
    },
    "quality": {"draft": "Draft", "normal": "Normal", "best": "Best"},
    "start": {"content": "Your photo", "style": "The style", "noise": "Noise"},
    "preset": {"impasto": "impasto's", "paper": "The original paper's"},
    "precision": {"auto": "Automatic"},
    "outside": {"style": "A region like the others", "keep": "Your photo unchanged"},
}
"""Labels of choices; the others are shown as they are."""
PRESETS: dict[str, dict[str, float]] = {
    "strength": {"Subtle": 25, "Balanced": 50, "Bold": 75},
    "style_scale": {"Fine": 0.5, "As in the style": 1, "Broad": 2},
    "size": {"Sketch": 256, "Screen": 512, "Large": 1024, "Print": 2048, "As my photo": 0},
}
"""Values of settings in plain words."""
GROUPS = {
    "Settings of every method": "General",
    "Regions and masks": "Regions",
    "Start, steps and sizes": "Course of the painting",
    "Feed-forward methods": "Memory",
    "Loss network": "Loss network",
}
SAMPLES = {
    "chelsea": "Cat",
    "coffee": "Coffee",
    "rocket": "Rocket",
    "astronaut": "Astronaut",
    "brushstrokes": "Brushstrokes",
    "inkwash": "Ink wash",
    "stainedglass": "Stained glass",
    "ukiyoe": "Ukiyo-e",
    "pointillism": "Pointillism",
}


def technique(method: str) -> Technique:
    """Return how the page shows a method."""
    return TECHNIQUES.get(method) or Technique(method, METHODS[method].summary)


def setting_label(name: str, help_text: str) -> tuple[str, str]:
    """Return the label and the hint of a setting with a given help text."""
    return SETTINGS.get(name) or (name.replace("_", " ").capitalize(), help_text.replace("`", ""))


def choice_label(setting: str, choice: str) -> str:
    """Return the label of a choice of a setting."""
    return CHOICES.get(setting, {}).get(choice, choice)


def image_label(picture: str) -> str:
    """Return the label of a sample, or the file name of an image without its suffix."""
    if picture in {*CONTENTS, *STYLES}:
        return SAMPLES.get(picture, picture.capitalize())
    return Path(picture).stem

"""Table of the commands; it imports nothing, so that `impasto --help` is immediate."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """Entry of a command in the table."""

    usage: str
    """Arguments that a user gives in most cases."""
    summary: str
    """One line for the list of commands and the head of the help."""
    function: str
    """`module:function` in `impasto.cli`; it takes the other arguments and returns the exit status."""


COMMANDS = {
    "stylize": Command(
        "CONTENT STYLE [STYLE ...] -o OUT",
        "stylize an image, or a folder of images, with one or several style images",
        "stylize:stylize",
    ),
    "video": Command("CLIP STYLE [STYLE ...] -o OUT", "stylize a clip without flicker", "video:video"),
    "replay": Command("PICTURE -o OUT", "compute a stylized image again from its record", "replay:replay"),
    "compare": Command(
        "CONTENT STYLE -o FOLDER",
        "stylize an image by several methods, grade the results and report",
        "compare:compare",
    ),
    "experiment run": Command(
        "FILE|NAME -o FOLDER", "carry out the runs of an experiment and report", "experiment:run"
    ),
    "experiment report": Command("FOLDER", "write the report of an experiment again", "experiment:report"),
    "experiment export": Command(
        "FOLDER --mlflow URI", "export the runs of an experiment to MLflow", "experiment:export"
    ),
    "experiment list": Command(
        "[--json]", "list the experiments that come with the package", "experiment:list_bundled"
    ),
    "metrics": Command("CONTENT STYLE OUTPUT [--json]", "compute metrics of a stylized image", "metrics:metrics"),
    "adapt": Command(
        "STYLE [STYLE ...] -o FILE", "adapt a fast network to styles of your own in about a minute", "adapt:adapt"
    ),
    "train": Command(
        "NAME --photos DIR --paintings DIR -o DIR", "train a network by a recipe, or resume a training", "train:train"
    ),
    "export": Command(
        "MODEL -o FILE.onnx | --web -o FOLDER", "export a feed-forward model as ONNX or as a web page", "export:export"
    ),
    "studio": Command("[--port 7860]", "open the web application", "studio:studio"),
    "demo": Command("[-o demo]", "stylize the sample images and draw a contact sheet", "demo:demo"),
    "styles": Command("[--json] [-o FILE]", "list the sample styles, and draw a sheet of them", "styles:styles"),
    "methods": Command("[--json]", "list the methods", "lists:methods"),
    "backbones": Command("[--json]", "list the backbones, whose features the losses compare", "lists:backbones"),
    "losses": Command("[--json]", "list the losses", "lists:losses"),
    "weights list": Command("[--json]", "list the pretrained weights and their files", "weights:list_weights"),
    "weights fetch": Command("NAME", "download pretrained weights if they are missing", "weights:fetch_weights"),
    "weights verify": Command("[NAME ...]", "check the hashes of the local weights", "weights:verify_weights"),
    "doctor": Command("[--json]", "show what this machine supports and what is missing", "doctor:doctor"),
}
"""Commands by name, in the order of the help."""

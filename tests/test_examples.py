"""The examples that teach: a method built from its parts gives the image of the package, and the notebook runs."""

import io
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import PIL.Image
import pytest
from support import TIMEOUT

import impasto
from impasto.images import load_image

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_gatys_from_scratch_gives_the_image_of_the_method_gatys(tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    settings = ["--backbone", "tiny", "--size", "64", "--steps", "6"]
    command = [sys.executable, str(EXAMPLES / "gatys_from_scratch.py"), "woodcut", "mosaic", str(output), *settings]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout
    result = impasto.stylize("woodcut", "mosaic", backbone="tiny", size=64, steps=6)
    result.save(tmp_path / "expected.png")
    assert np.array_equal(np.asarray(PIL.Image.open(output)), np.asarray(PIL.Image.open(tmp_path / "expected.png")))
    assert len(printed.splitlines()) == 6
    assert "style/relu1_1" in printed


def test_gatys_from_scratch_is_short() -> None:
    assert len((EXAMPLES / "gatys_from_scratch.py").read_text(encoding="utf-8").splitlines()) <= 80


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_notebook_runs_and_every_code_cell_with_a_value_displays_it(tmp_path: Path) -> None:
    notebook = str(EXAMPLES / "tour.ipynb")
    execute = (
        "import sys, nbclient, nbformat;"
        "notebook = nbformat.read(sys.argv[1], 4);"
        "nbclient.NotebookClient(notebook, timeout=int(sys.argv[3]), kernel_name='python3').execute();"
        "nbformat.write(notebook, sys.argv[2])"
    )
    command = [sys.executable, "-c", execute, notebook, str(tmp_path / "executed.ipynb"), str(TIMEOUT)]
    environment = os.environ | {"IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    subprocess.run(command, check=True, timeout=2 * TIMEOUT, env=environment, cwd=EXAMPLES, capture_output=True)

    cells = [cell for cell in nbformat.read(tmp_path / "executed.ipynb", 4).cells if cell.cell_type == "code"]
    kinds = [{kind for output in cell.outputs for kind in output.get("data", {})} for cell in cells]
    assert ["image/png" in kind for kind in kinds] == [True, False, True, False, True, True]
    assert "text/html" in kinds[3]


def test_a_result_displays_itself_as_a_png_in_a_notebook() -> None:
    result = impasto.stylize("woodcut", "mosaic", backbone="tiny", size=48, steps=1)
    shown = load_image(PIL.Image.open(io.BytesIO(result._repr_png_())))
    assert shown.shape == result.image.shape
    assert (shown - result.image).abs().max() <= 0.5 / 255 + 1e-6

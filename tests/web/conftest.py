"""A page that was exported with a runtime of a few lines, in which the network inverts colors."""

from __future__ import annotations

from pathlib import Path

import pytest

from impasto.images import load_image
from impasto.methods.micro import MicroMethod
from impasto.networks.adapted_styles import encode_style, styles_metadata
from impasto.networks.micro import Micro
from impasto.networks.weights_io import load_weights, save_weights
from impasto.samples import resolve
from impasto.web import export_site

RUNTIME = """
export const env = { wasm: {} };
export class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } }
export const InferenceSession = { create: async network => ({ run: async ({ style, content, code, strength }) => {
  if (style) return { code: new Tensor("float32", new Float32Array(96).fill(style.data[0]), [1, 96]) };
  if (content.dims[3] === 320) throw new Error("failed to allocate memory");
  const part = strength.data[0] / 100, green = content.data.length / 3;
  const shift = index => (index >= green && index < 2 * green ? code.data[0] : 0);
  const data = content.data.map((value, index) => value + part * (1 - 2 * value) + shift(index));
  return { stylized: new Tensor("float32", data, content.dims) };
} }) };
"""


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the file names of onnxruntime-web."""
    folder = tmp_path_factory.mktemp("runtime")
    for build, suffix in (("wasm", ""), ("jspi", ".jspi")):
        (folder / f"ort.{build}.bundle.min.mjs").write_text(RUNTIME, encoding="utf-8")
        (folder / f"ort-wasm-simd-threaded{suffix}.wasm").write_bytes(b"\0asm")
    return folder


@pytest.fixture(scope="session")
def folder_of_sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that contains the exported pages."""
    return tmp_path_factory.mktemp("root") / "a folder"


@pytest.fixture(scope="session")
def site(runtime: Path, folder_of_sites: Path) -> Path:
    """Return the folder of an exported page, whose networks are empty files: their export takes ten seconds."""
    folder = folder_of_sites / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("impasto.web.site.onnx_bytes", lambda *_: b"a network")
        export_site(folder, styles=["geometric"], runtime=runtime, sizes=(64, 128, 320))
    return folder


@pytest.fixture(scope="session")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights that claim to be adapted to a style: the bundled ones with a style image."""
    file, network = tmp_path_factory.mktemp("adapted") / "own.safetensors", Micro()
    load_weights(network, MicroMethod.bundled)
    return save_weights(
        network, file, styles_metadata([encode_style("my_mosaic", load_image(resolve("mosaic"), size=96))])
    )


@pytest.fixture(scope="session")
def adapted_site(runtime: Path, adapted: Path, folder_of_sites: Path) -> Path:
    """Return the folder of a page for one style, whose network is an empty file."""
    folder = folder_of_sites / "adapted"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("impasto.web.site.onnx_bytes", lambda *_: b"a network")
        export_site(folder, str(adapted), runtime=runtime, sizes=(64, 128))
    return folder

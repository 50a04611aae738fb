"""The exported page: its files, its networks, and wrong requests."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from support import write_pictures

import impasto
from impasto.cli import main
from impasto.images import load_image
from impasto.samples import STYLES, resolve
from impasto.web import export_site
from impasto.web import runtime as runtime_module
from impasto.weights.manifest import WeightFile


def test_the_page_has_all_its_files_and_names_no_other_host(site: Path) -> None:
    files = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    assert {"index.html", "site.json", "licenses.txt", "model/stylizer.onnx", "model/encoder.onnx"} <= files.keys()
    text = {
        name: path.read_text(encoding="utf-8")
        for name, path in files.items()
        if name.endswith((".html", ".js", ".css"))
    }
    named = re.findall(r'(?:src|href|content)="(page/[^"]+)"', text["index.html"])
    named += [f"page/{name}" for name in re.findall(r'from "\./([^"]+)"', "".join(text.values()))]
    assert sorted(set(named) - files.keys()) == []
    own = {name: source for name, source in text.items() if not name.startswith("runtime/")}
    assert {
        name: found for name, source in own.items() if (found := re.findall(r"(?:https?:)?//[\w-]+\.\S+", source))
    } == {}
    assert [name for name, source in own.items() if re.search(r'(?:src|href)="/', source)] == []


def test_the_page_describes_its_styles_first_the_given_ones(site: Path) -> None:
    index = json.loads((site / "site.json").read_text(encoding="utf-8"))
    labels = [style["label"] for style in index["styles"]]
    assert labels == ["Geometric", *(name.capitalize() for name in STYLES if name != "geometric")]
    for each in [*index["styles"], *index["samples"]]:
        assert load_image(site / each["picture"]).shape[-1] > 100
    assert all(set(style["codes"]) == {"64", "128", "320"} for style in index["styles"])
    licenses = (site / "licenses.txt").read_text(encoding="utf-8")
    assert "MIT, Microsoft" in licenses
    assert "the bundled styles: MIT" in licenses
    assert all(each["picture"] in licenses for each in index["samples"])
    assert "Permission is hereby granted" in (site / "runtime" / "LICENSE.txt").read_text(encoding="utf-8")


def test_an_export_replaces_an_earlier_one_and_nothing_else(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.web.site.onnx_bytes", lambda *_: b"a network")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "CNAME").write_text("example.org")
    for sizes in ((64,), (128,)):
        export_site(folder, "johnson-mosaic", runtime=runtime, sizes=sizes)
        assert json.loads((folder / "site.json").read_text(encoding="utf-8"))["sizes"] == [*sizes]
    assert (folder / "CNAME").read_text(encoding="utf-8") == "example.org"
    (folder / "site.json").unlink()
    with pytest.raises(ValueError, match=r"the page would replace '.*index.html'"):
        export_site(folder, "johnson-mosaic", runtime=runtime)


def test_a_later_export_removes_what_the_page_no_longer_has(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.web.site.onnx_bytes", lambda *_: b"a network")
    export_site(tmp_path, "johnson-mosaic", runtime=runtime)
    exported = {path for path in tmp_path.rglob("*") if path.is_file()}
    for name in ("styles/1.jpg", "styles/12.jpg", "samples/removed.jpg", "model/encoder.onnx"):
        (tmp_path / name).write_bytes(b"of an earlier export")
    own = tmp_path / "styles" / "notes.txt"
    own.write_text("of the user")
    export_site(tmp_path, "johnson-mosaic", runtime=runtime)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == exported | {own}


@pytest.mark.parametrize(
    "name", ["index.html", "site.json", "licenses.txt", "styles/0.jpg", "model/stylizer.onnx", "runtime/LICENSE.txt"]
)
def test_a_folder_without_an_export_keeps_its_files(
    name: str, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.web.site.onnx_bytes", lambda *_: b"a network")
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.write_text('{"title": "of the user"}')
    with pytest.raises(ValueError, match=f"^the page would replace '.*{Path(name).name}'; give another folder"):
        export_site(tmp_path, "johnson-mosaic", runtime=runtime)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [own]
    assert own.read_text(encoding="utf-8") == '{"title": "of the user"}'


def test_the_page_of_an_adapted_network_has_its_styles_and_no_encoder(adapted_site: Path) -> None:
    index = json.loads((adapted_site / "site.json").read_text(encoding="utf-8"))
    assert not index["any_style"]
    assert [style["label"] for style in index["styles"]] == ["My mosaic"]
    assert set(index["styles"][0]["codes"]) == {"64", "128"}
    assert [path.name for path in (adapted_site / "model").iterdir()] == ["stylizer.onnx"]
    assert [path.name for path in (adapted_site / "styles").iterdir()] == ["0.jpg"]
    assert "bundled styles" not in (adapted_site / "licenses.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_of_a_sample_style_names_the_license_of_its_picture(runtime: Path, tmp_path: Path) -> None:
    export_site(tmp_path, "micro-woodcut", runtime=runtime, sizes=(64,))
    index = json.loads((tmp_path / "site.json").read_text(encoding="utf-8"))
    assert [style["label"] for style in index["styles"]] == ["Woodcut"]
    assert "and the bundled styles: MIT" in (tmp_path / "licenses.txt").read_text(encoding="utf-8")


def test_an_adapted_network_takes_no_other_style(adapted: Path, runtime: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"own.safetensors' was adapted to my_mosaic; leave --style out"):
        export_site(tmp_path / "site", str(adapted), styles=["woodcut"], runtime=runtime)
    with pytest.raises(ValueError, match=r"two files of weights are given, .* and .*; give one of them"):
        export_site(tmp_path / "site", str(adapted), weights=adapted, runtime=runtime)
    with pytest.raises(ValueError, match="nothing"):
        export_site(tmp_path / "site", str(tmp_path / "nothing.safetensors"), runtime=runtime)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_networks_of_a_page_give_the_output_of_the_method_at_sizes_and_strengths(
    runtime: Path, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    own = write_pictures(tmp_path / "own", 1) / "0.png"
    sizes = (61, 96, 130)
    export_site(tmp_path / "site", styles=[str(own)], runtime=runtime, sizes=sizes)
    stylizer, encoder = (
        onnxruntime.InferenceSession(str(tmp_path / "site" / "model" / f"{name}.onnx"))
        for name in ("stylizer", "encoder")
    )
    styles = json.loads((tmp_path / "site" / "site.json").read_text(encoding="utf-8"))["styles"]
    for size, strength, (style, file) in zip(
        sizes, (0.0, 50.0, 85.0), ((0, own), (1, "brushstrokes"), (0, own)), strict=True
    ):
        content = load_image(resolve("woodcut"), size=size)
        settings = {"size": size, "strength": strength, "precision": "fp32", "device": "cpu", "weights": "micro"}
        result = impasto.stylize("woodcut", file, "micro", **settings)
        code = np.array([styles[style]["codes"][str(size)]], np.float32)
        (encoded,) = encoder.run(None, {"style": load_image(resolve(file), size=size).numpy()})
        assert np.abs(encoded - code).max() < 1e-5
        given = {"content": content.numpy(), "code": code, "strength": np.array(strength, np.float32)}
        (stylized,) = stylizer.run(None, given)
        assert np.abs(stylized - result.image.numpy()).max() < 1e-4
        assert torch.is_tensor(result.image)
    assert sum(path.stat().st_size for path in (tmp_path / "site" / "model").iterdir()) < 1_700_000


@pytest.mark.slow
def test_an_adapted_network_of_a_page_gives_the_output_of_the_method_at_sizes_and_strengths(
    adapted: Path, runtime: Path, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
    sizes = (61, 96, 130)
    export_site(tmp_path, str(adapted), runtime=runtime, sizes=sizes)
    stylizer = onnxruntime.InferenceSession(str(tmp_path / "model" / "stylizer.onnx"))
    (style,) = json.loads((tmp_path / "site.json").read_text(encoding="utf-8"))["styles"]
    for size, strength in zip(sizes, (20.0, 50.0, 85.0), strict=True):
        settings = {"size": size, "strength": strength, "precision": "fp32", "device": "cpu", "weights": str(adapted)}
        result = impasto.stylize("woodcut", method="micro", **settings)
        content = load_image(resolve("woodcut"), size=size)
        code = np.array([style["codes"][str(size)]], np.float32)
        given = {"content": content.numpy(), "code": code, "strength": np.array(strength, np.float32)}
        (stylized,) = stylizer.run(None, given)
        assert np.abs(stylized - result.image.numpy()).max() < 1e-4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "--web"], "the output is missing; give -o FILE.onnx, or with --web -o FOLDER"),
        (["export", "wct", "--web", "-o", "site"], "the page runs micro, micro-"),
        (["export", "johnson-mosaic", "--web", "-o", "site", "--style", "woodcut"], "johnson-mosaic has one style"),
        (["export", "--web", "-o", "site", "--runtime", "empty"], "'empty' does not contain ort.wasm.bundle.min.mjs"),
        (["export", "--web", "-o", "site"], "IMPASTO_OFFLINE is set, and onnxruntime-web-"),
        (["export", "--web", "-o", "file", "--runtime", "empty"], "'file': it is a file; give a folder"),
        (["export", "micro", "-o", "m.onnx", "--style", "woodcut"], "--style is a setting of the web page; add --web"),
    ],
)
def test_a_wrong_request_is_a_one_line_error_and_writes_nothing(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "no cache"))
    (tmp_path / "file").write_text("")
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_wrong_style_or_weights_file_is_an_error_before_anything_is_written(runtime: Path, tmp_path: Path) -> None:
    for settings in ({"styles": ["nothing.jpg"]}, {"weights": tmp_path / "nothing.safetensors"}):
        with pytest.raises(ValueError, match="nothing"):
            export_site(tmp_path / "site", runtime=runtime, **settings)
    assert list(tmp_path.iterdir()) == []


def test_the_runtime_comes_from_the_package_in_the_cache(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    package = WeightFile("runtime.tgz", 100, sha256="0" * 64)
    monkeypatch.setattr(runtime_module, "PACKAGE", package)
    with tarfile.open(tmp_path / "runtime.tgz", "w:gz") as archive:
        for path in runtime.iterdir():
            archive.add(path, f"package/dist/{path.name}")
    files = runtime_module.runtime_files(None)
    assert files == runtime_module.runtime_files(runtime)
    assert gzip.decompress(files["ort-wasm-simd-threaded.wasm.gz"]) == b"\0asm"
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "web-page.md").read_text(encoding="utf-8")
    assert f"npm pack onnxruntime-web@{runtime_module.VERSION} " in guide
    (tmp_path / "runtime.tgz").write_bytes(io.BytesIO(b"torn").getvalue())
    with pytest.raises(ValueError, match="give --runtime FOLDER"):
        runtime_module.runtime_files(None)

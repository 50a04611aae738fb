"""Test that an output keeps the EXIF data and the resolution of the photograph, and nothing about its pixels."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pillow_heif
import pillow_jxl  # noqa: F401  (registers JPEG XL in Pillow)
import pytest
from hypothesis import given
from hypothesis import strategies as st

import impasto
from impasto.cli import main
from impasto.images import encode_image, open_picture, strips
from impasto.images.metadata import NO_METADATA, Metadata, exif_block, read_metadata
from impasto.studio.history import History, new_key
from impasto.studio.portable import portable_png

ARTIST, COPYRIGHT, DATE, ORIENTATION, SOFTWARE = 0x013B, 0x8298, 0x0132, 0x0112, 0x0131
EXPOSURE, TAKEN, MAKER_NOTE, COLOR_SPACE, WIDTH, HEIGHT = 0x829A, 0x9003, 0x927C, 0xA001, 0xA002, 0xA003
X_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x0128
PHOTO, LOCATION, THUMBNAIL = 0x8769, 0x8825, 0x0201
TEXTS = {ARTIST: "José Ñandú", COPYRIGHT: "© 2026 Žižek", DATE: "2026:05:06 07:08:09"}
FAST = {"backbone": "tiny", "size": 32, "steps": 1}


def number(order: str, kind: int, value: int) -> bytes:
    return struct.pack(f"{order}{'HI'[kind == 4]}", value).ljust(4, b"\0")


def directory(order: str, entries: list[tuple[int, int, int, bytes]], start: int, following: int = 0) -> bytes:
    """Return a TIFF directory; each entry is a tag, a type, a count and its data."""
    rows, values = b"", b""
    after = start + 2 + 12 * len(entries) + 4
    for tag, kind, count, data in sorted(entries):
        field = data if len(data) <= 4 else struct.pack(f"{order}I", after + len(values))
        values += data if len(data) > 4 else b""
        rows += struct.pack(f"{order}HHI", tag, kind, count) + field.ljust(4, b"\0")
    return struct.pack(f"{order}H", len(entries)) + rows + struct.pack(f"{order}I", following) + values


def exif(order: str = ">") -> bytes:
    """Return the EXIF data of a camera: turned, with maker notes, a location and a thumbnail, in either byte order."""
    texts = [(tag, 2, len(text.encode()) + 1, text.encode() + b"\0") for tag, text in TEXTS.items()]
    ratio = struct.pack(f"{order}II", 1, 125)
    degrees = struct.pack(f"{order}IIIIII", 48, 1, 8, 1, 132, 10)
    photo = [
        (EXPOSURE, 5, 1, ratio),
        (TAKEN, 2, 20, b"2026:05:06 07:08:09\0"),
        (MAKER_NOTE, 7, 9, b"secret-id"),
        (0x9286, 7, 16, b"UNICODE\0" + "Grüß".encode("utf-16-be" if order == ">" else "utf-16-le")),
        (COLOR_SPACE, 3, 1, number(order, 3, 65535)),
        (WIDTH, 4, 1, number(order, 4, 6000)),
    ]
    main = [
        *texts,
        (ORIENTATION, 3, 1, number(order, 3, 6)),
        (PHOTO, 4, 1, number(order, 4, 1000)),
        (LOCATION, 4, 1, number(order, 4, 2000)),
    ]
    first = directory(order, main, 8, following=3000)
    location = directory(order, [(1, 2, 2, b"N\0"), (2, 5, 3, degrees)], 2000)
    thumbnail = directory(order, [(THUMBNAIL, 4, 1, number(order, 4, 3100)), (0x0202, 4, 1, number(order, 4, 5))], 3000)
    block = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8) + first
    block = block.ljust(1000, b"\0") + directory(order, photo, 1000)
    block = block.ljust(2000, b"\0") + location
    return b"Exif\0\0" + block.ljust(3000, b"\0") + thumbnail.ljust(100, b"\0") + b"thumb"


def photo(path: Path, order: str = ">", **options: Any) -> Path:
    levels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    PIL.Image.fromarray(levels).save(path, **{"exif": exif(order), "dpi": (300, 300), **options})
    return path


def tags(source: Path | bytes) -> dict[str, Any]:
    """Return what Pillow reads of a file: the three directories, the resolution, and whether there is a thumbnail."""
    with PIL.Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
        file.load()
        data = file.getexif()
        return {
            "main": dict(data),
            "photo": dict(data.get_ifd(PHOTO)),
            "location": dict(data.get_ifd(LOCATION)),
            "thumbnail": THUMBNAIL in data.get_ifd(PIL.ExifTags.IFD.IFD1),
            "dpi": file.info.get("dpi"),
            "size": file.size,
            "profile": bool(file.info.get("icc_profile")),
        }


def latin(text: str) -> str:
    """Return a text as Pillow decodes it, byte by byte."""
    return text.encode().decode("latin-1")


def check(found: dict[str, Any], *, has_location: bool = False) -> None:
    """Check that everything is kept that says who, when and how, and nothing that is wrong for the output."""
    assert {tag: found["main"].get(tag) for tag in TEXTS} == {tag: latin(text) for tag, text in TEXTS.items()}
    assert found["main"].get(ORIENTATION, 1) == 1
    assert found["photo"][EXPOSURE] == 1 / 125
    assert found["photo"][TAKEN] == TEXTS[DATE]
    assert found["photo"][0x9286] == b"UNICODE\0" + "Grüß".encode("utf-16-le")
    assert MAKER_NOTE not in found["photo"]
    assert not found["thumbnail"]
    assert (found["photo"][WIDTH], found["photo"][HEIGHT]) == found["size"]
    assert found["photo"][COLOR_SPACE] == 1
    assert found["profile"]
    assert (found["location"].get(2) == (48, 8, 13.2)) == has_location
    assert bool(found["location"]) == has_location


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize(
    ("suffix", "bits"),
    [(".png", 8), (".png", 16), (".jpg", 8), (".webp", 8), (".tif", 8), (".tif", 16), (".avif", 8)],
)
def test_every_format_keeps_the_exif_data_and_the_resolution(
    tmp_path: Path, suffix: str, bits: Any, order: str
) -> None:
    picture = open_picture(photo(tmp_path / "a.jpg", order))
    for metadata in (picture.metadata, picture.metadata.without_location()):
        data = encode_image(picture.image, suffix, bits=bits, metadata=metadata, record="{}")
        found = tags(data)
        check(found, has_location=bool(metadata.location))
        assert found["size"] == (40, 60)  # upright
        assert found["dpi"] in (None, pytest.approx((300, 300), abs=0.01))
        again = open_picture(io.BytesIO(data))
        assert again.metadata.dpi == pytest.approx((300, 300), abs=0.01)
        assert (again.metadata.main, again.metadata.photo) == (metadata.main, metadata.photo)
        assert again.image.shape == picture.image.shape
        if suffix in (".png", ".tif"):
            assert (again.image == open_picture(io.BytesIO(encode_image(picture.image, suffix, bits=bits))).image).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic", ".jxl"])
def test_the_exif_data_of_every_format_are_read(tmp_path: Path, suffix: str) -> None:
    path = photo(tmp_path / "a.jpg")
    if suffix == ".heic":
        with PIL.Image.open(path) as file:
            pillow_heif.from_pillow(file).save(tmp_path / "a.heic")
    elif suffix == ".jxl":
        with PIL.Image.open(path) as file:
            file.save(tmp_path / "a.jxl", "JXL", lossless_jpeg=True)
    elif suffix != ".jpg":
        picture = open_picture(path)
        data = encode_image(picture.image, suffix, metadata=picture.metadata)
        (tmp_path / f"a{suffix}").write_bytes(data)
    picture = open_picture(tmp_path / f"a{suffix}")
    check(tags(encode_image(picture.image, ".jpg", metadata=picture.metadata)), has_location=True)


def test_a_scan_keeps_its_resolution_and_loses_no_pixel_description(tmp_path: Path) -> None:
    levels = np.zeros((20, 30), np.uint8)
    path = tmp_path / "scan.tif"
    PIL.Image.fromarray(levels).save(path, dpi=(600, 600), compression="tiff_lzw", artist="Ana", copyright="Bo")
    picture = open_picture(path)
    assert {entry.tag for entry in picture.metadata.main} == {ARTIST, COPYRIGHT}
    found = tags(encode_image(picture.image, ".jpg", metadata=picture.metadata))
    assert (found["dpi"], found["main"][ARTIST], found["main"][COPYRIGHT]) == ((600, 600), "Ana", "Bo")
    assert open_picture(io.BytesIO(encode_image(picture.image, ".bmp", metadata=picture.metadata))).metadata.dpi == (
        pytest.approx((600, 600), abs=0.02)
    )


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"big_tiff": True},
        {"tiffinfo": {RESOLUTION_UNIT: 2}},
        {"tiffinfo": {RESOLUTION_UNIT: 3}},
        {"tiffinfo": {X_RESOLUTION: 300.0}},
        {"dpi": (1, 1)},
    ],
)
def test_a_tiff_without_a_resolution_gives_an_output_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], *, is_large: bool
) -> None:
    if is_large:  # for the reader of strips
        monkeypatch.setattr(strips, "REDUCED_PIXELS", 0)
    path = tmp_path / "scan.tif"
    PIL.Image.new("RGB", (60, 40)).save(path, **options)
    with PIL.Image.open(path) as file:
        assert open_picture(file).metadata.dpi is None
    picture = open_picture(path, longer_side=32)
    found = tags(encode_image(picture.image, ".png", metadata=picture.metadata))
    assert found["dpi"] is None
    found = tags(encode_image(picture.image, ".tif", metadata=picture.metadata))
    assert X_RESOLUTION not in found["main"]


def test_a_png_of_imagemagick_has_its_exif_data_in_a_text() -> None:
    block = exif().hex()
    lines = "\n".join(block[i : i + 72] for i in range(0, len(block), 72))
    found = read_metadata({"Raw profile type exif": f"\nexif\n    {len(block) // 2}\n{lines}\n"})
    assert found == read_metadata({"exif": exif()})
    assert found.main


def test_a_picture_without_metadata_has_none_in_the_output() -> None:
    image = open_picture(np.zeros((16, 16, 3), np.uint8)).image
    for suffix in (".png", ".jpg", ".webp", ".tif", ".avif"):
        assert encode_image(image, suffix) == encode_image(image, suffix, metadata=NO_METADATA)
        assert tags(encode_image(image, suffix))["photo"] == {}
    with PIL.Image.open(io.BytesIO(encode_image(image, ".png", bits=16))) as file:
        assert file.info["dpi"] == pytest.approx((72, 72), abs=0.01)


def test_large_values_are_left_out_so_that_a_jpeg_can_store_the_rest() -> None:
    texts = [(tag, 2, 9000, b"x" * 9000) for tag in (0x010D, 0x010E, 0x010F, 0x0110, ARTIST)]
    data = struct.pack("<2sHI", b"II", 42, 8) + directory("<", [*texts, (COPYRIGHT, 2, 3, b"me\0")], 8)
    metadata = read_metadata({"exif": data})
    image = open_picture(np.zeros((16, 16, 3), np.uint8)).image
    found = tags(encode_image(image, ".jpg", metadata=metadata))["main"]
    assert found[COPYRIGHT] == "me"
    assert 0x010D in found
    assert ARTIST not in found


@given(st.binary(max_size=80), st.integers(0, 3100), st.integers(0, 255))
def test_corrupt_exif_data_are_ignored(noise: bytes, position: int, byte: int) -> None:
    whole = exif()
    for block in (b"II*\0" + noise, whole[:position], whole[:position] + bytes([byte]) + whole[position + 1 :]):
        metadata = read_metadata({"exif": block, "dpi": (0, float("nan"))})
        assert len(exif_block(metadata, (10, 10))) < 2**16
        assert read_metadata({"exif": exif_block(metadata, (10, 10))}) == metadata


def test_a_comment_of_nothing_but_prefixes_is_read() -> None:
    text = b"UNICODE\0" * 2000
    block = struct.pack(">2sHI", b"MM", 42, 8) + directory(">", [(0x010E, 7, len(text), text)], 8)
    assert len(read_metadata({"exif": block}).main) == 1


@pytest.mark.parametrize("dpi", [(0, 0), (1, 1), (300, 1), (72, float("nan")), (1e9, 1e9), "72 dpi", None, (72,)])
def test_an_unusable_resolution_is_ignored(dpi: Any) -> None:
    assert read_metadata({"dpi": dpi}) == Metadata()


def test_the_command_line_keeps_the_location_only_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    photo(tmp_path / "in/a.jpg")
    photo(tmp_path / "style.jpg", exif=PIL.Image.Exif(), dpi=(96, 96), comment="of the style")
    run = ["style.jpg", "--method", "micro", "--size", "32"]
    for flag in ([], ["--keep-location"]):
        assert main(["stylize", "in/a.jpg", *run, "-o", "a.webp", *flag]) == 0
        check(tags(Path("a.webp")), has_location=bool(flag))
        assert main(["stylize", "in", *run, "--suffix", ".jpg", "-o", f"out{len(flag)}", *flag]) == 0
        check(tags(Path(f"out{len(flag)}/a.jpg")), has_location=bool(flag))
        assert main(["replay", "a.webp", "-o", "b.png", *flag]) == 0
        check(tags(Path("b.png")), has_location=bool(flag))
        capfdbinary.readouterr()
        assert main(["stylize", "in/a.jpg", *run, "-o", "-", *flag]) == 0
        check(tags(capfdbinary.readouterr().out), has_location=bool(flag))


def test_a_result_of_python_keeps_the_metadata_of_its_content_image(tmp_path: Path) -> None:
    content = photo(tmp_path / "a.jpg")
    with PIL.Image.open(content) as opened, content.open("rb") as file:
        for source in (content, file, opened):
            result = impasto.stylize(source, "mosaic", **FAST)
            check(tags(result.save(tmp_path / "out.png")))
            check(tags(result.save(tmp_path / "out.tif", keep_location=True)), has_location=True)
    assert tags(impasto.stylize("woodcut", content, **FAST).encode(".jpg"))["main"] == {}
    before = (tmp_path / "out.png").read_bytes()
    impasto.replay(tmp_path / "out.json", content=content).save(tmp_path / "again.png")
    assert (open_picture(tmp_path / "again.png").image == open_picture(io.BytesIO(before)).image).all()


def test_a_download_of_the_studio_has_the_metadata_without_the_location(tmp_path: Path) -> None:
    result = impasto.stylize(photo(tmp_path / "a.jpg"), "mosaic", **FAST)
    entry = History(tmp_path / "history").add(new_key(), result, "a")
    check(tags(portable_png(entry.picture)))


def test_a_pil_image_of_a_tiff_has_the_metadata_of_the_file(tmp_path: Path) -> None:
    picture = PIL.Image.new("RGB", (20, 10))
    picture.save(tmp_path / "a.tif", tiffinfo={COPYRIGHT: "me"}, dpi=(120, 120))
    of_file = open_picture(tmp_path / "a.tif").metadata
    with PIL.Image.open(tmp_path / "a.tif") as opened:
        assert open_picture(opened).metadata == of_file
    assert [entry.tag for entry in of_file.main] == [COPYRIGHT]
    assert open_picture(picture).metadata == NO_METADATA

"""Test that title, creator, copyright and description of XMP and IPTC data survive, and nothing else of them."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import Any

import PIL.Image
import PIL.PngImagePlugin
import pillow_heif
import pytest

from impasto.images import encode_image, open_picture
from impasto.images.captions import MAX_BYTES, read_captions
from impasto.images.metadata import read_metadata

DESCRIPTION, ARTIST, COPYRIGHT, TITLE = 0x010E, 0x013B, 0x8298, 0x9C9B
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 exif:GPSLatitude="48,8.2N" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:City="Bern">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Brücke</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>José Ñandú</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq></dc:creator>
<dc:rights><rdf:Alt><rdf:li xml:lang="de">niemand</rdf:li>
<rdf:li xml:lang="x-default">© Žižek</rdf:li></rdf:Alt></dc:rights>
<dc:description><rdf:Alt><rdf:li xml:lang="en">a &lt;bridge&gt;</rdf:li></rdf:Alt></dc:description>
<dc:subject><rdf:Bag><rdf:li>secret</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()
CAPTIONS = {"title": "Brücke", "creator": "José Ñandú; Bo", "copyright": "© Žižek", "description": "a <bridge>"}
PICTURE = PIL.Image.new("RGB", (30, 20))


def iptc(*data_sets: tuple[int, bytes]) -> bytes:
    """Return data sets of record 2."""
    return b"".join(struct.pack(">BBBH", 0x1C, 2, number, len(data)) + data for number, data in data_sets)


def jpeg_with_iptc(data: bytes) -> bytes:
    """Return a JPEG with IPTC data as Photoshop writes them."""
    file = io.BytesIO()
    PICTURE.save(file, "JPEG")
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)
    body = b"Photoshop 3.0\0" + resource
    segment = b"\xff\xed" + struct.pack(">H", 2 + len(body)) + body
    return file.getvalue()[:2] + segment + file.getvalue()[2:]


def save(path: Path) -> Path:
    """Write a picture with XMP data in the way of its format."""
    options: dict[str, Any] = {"xmp": XMP}
    if path.suffix == ".png":
        text = PIL.PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"pnginfo": text}
    elif path.suffix == ".tif":
        options = {"tiffinfo": {700: XMP}}
    elif path.suffix == ".heic":
        pillow_heif.from_pillow(PICTURE).save(path, xmp=XMP)
        return path
    PICTURE.save(path, **options)
    return path


def texts(data: bytes) -> dict[str, Any]:
    """Return the texts among the EXIF data of a file, as another library reads them."""
    with PIL.Image.open(io.BytesIO(data)) as file:
        file.load()
        found = file.getexif()
    as_text = {
        name: found[tag].encode("latin-1").decode()
        for name, tag in (("creator", ARTIST), ("copyright", COPYRIGHT), ("description", DESCRIPTION))
    }
    return {"title": found[TITLE].decode("utf-16-le").rstrip("\0"), **as_text}


@pytest.mark.parametrize("output", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_the_texts_of_xmp_are_exif_data_of_every_output(tmp_path: Path, output: str) -> None:
    picture = open_picture(save(tmp_path / "a.jpg"))
    data = encode_image(picture.image, output, metadata=picture.metadata)
    assert texts(data) == CAPTIONS
    assert open_picture(io.BytesIO(data)).metadata.main == picture.metadata.main
    for private in (b"secret", b"Bern", b"48,8.2N", b"xmpmeta"):
        assert private not in data


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif", ".heic"])
def test_xmp_of_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    picture = open_picture(save(tmp_path / f"a{suffix}"))
    assert texts(encode_image(picture.image, ".jpg", metadata=picture.metadata)) == CAPTIONS


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_iptc_of_a_jpeg_is_read(encoding: str) -> None:
    names = [(5, "Brücke"), (80, "José Ñandú"), (80, "Bo"), (116, "© 2026"), (120, "a <bridge>"), (90, "Bern")]
    data = jpeg_with_iptc(iptc(*((number, text.encode(encoding)) for number, text in names)))
    picture = open_picture(io.BytesIO(data))
    output = encode_image(picture.image, ".png", metadata=picture.metadata)
    assert texts(output) == {**CAPTIONS, "copyright": "© 2026"}
    assert b"Bern" not in output


def test_exif_data_precede_xmp_and_xmp_precedes_iptc(tmp_path: Path) -> None:
    data = iptc((116, b"of IPTC"), (80, b"of IPTC"))
    xmp = XMP.replace(b"dc:creator", b"dc:contributor")
    assert read_captions({"xmp": xmp, "photoshop": {0x0404: data}}) == {**CAPTIONS, "creator": "of IPTC"}
    exif = PIL.Image.Exif()
    exif[COPYRIGHT] = "of EXIF"
    PICTURE.save(tmp_path / "a.jpg", exif=exif, xmp=XMP)
    picture = open_picture(tmp_path / "a.jpg")
    found = texts(encode_image(picture.image, ".jpg", metadata=picture.metadata))
    assert found == {**CAPTIONS, "copyright": "of EXIF"}
    exif[COPYRIGHT] = "  "  # as some cameras write it
    PICTURE.save(tmp_path / "a.jpg", exif=exif, xmp=XMP)
    picture = open_picture(tmp_path / "a.jpg")
    assert texts(encode_image(picture.image, ".jpg", metadata=picture.metadata)) == CAPTIONS


def test_the_texts_of_other_documents_in_xmp_are_not_read() -> None:
    other = (
        "<dc:title>of another document</dc:title><dc:creator>Jane Doe</dc:creator><dc:rights>of another</dc:rights>"
        "<dc:description>a passport</dc:description>"
    )
    pantry = f"<m:Pantry><rdf:Bag><rdf:li><rdf:Description>{other}</rdf:Description></rdf:li></rdf:Bag></m:Pantry>"
    pantry = pantry.replace("m:Pantry>", 'm:Pantry xmlns:m="http://ns.adobe.com/xap/1.0/mm/">', 1)
    before, after = XMP.decode().split("<dc:title>")
    creator = after.index("<dc:creator>"), after.index("<dc:rights>")
    without_creator = f"{before}{pantry}<dc:title>{after[: creator[0]]}{after[creator[1] :]}"
    assert read_captions({"xmp": f"{before}{pantry}<dc:title>{after}".encode()}) == CAPTIONS
    assert read_captions({"xmp": without_creator.encode()}).keys() == CAPTIONS.keys() - {"creator"}
    rdf = without_creator[without_creator.index("<rdf:RDF") : without_creator.index("</x:xmpmeta>")]
    assert read_captions({"xmp": rdf.encode()}).keys() == CAPTIONS.keys() - {"creator"}  # `x:xmpmeta` is optional


def test_an_empty_text_does_not_hide_that_of_another_source_or_language() -> None:
    data = iptc((5, b" "), (5, b"of IPTC"), (116, b"of IPTC"))
    info = {"photoshop": {0x0404: data}}
    for empty in ("", " \n"):
        xmp = XMP.replace("Brücke".encode(), empty.encode()).replace("© Žižek".encode(), empty.encode())
        assert read_captions({"xmp": xmp, **info}) == {**CAPTIONS, "title": "of IPTC", "copyright": "niemand"}


def test_a_text_is_cut_at_a_character_and_has_no_zero() -> None:
    found = read_captions({"photoshop": {0x0404: iptc((120, "é".encode() * 3000), (116, b"a\0b"), (80, b" "))}})
    assert found == {"description": "é" * (MAX_BYTES // 2), "copyright": "ab"}


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + XMP.split(b"?>", 1)[1].replace(
        b"niemand", b"&b;"
    )
    assert read_captions({"xmp": bomb}) == {}
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        for start in ("", "\ufeff"):
            assert read_captions({"xmp": (start + bomb.decode()).encode(encoding)}) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "unknown"])
def test_the_declaration_of_an_encoding_has_no_effect_because_xmp_is_in_utf_8(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + XMP.decode().split("?>", 1)[1]
    assert read_captions({"XML:com.adobe.xmp": text}) == CAPTIONS  # of a PNG
    assert read_captions({"xmp": b"\xef\xbb\xbf" + text.encode() + b"\0\n"}) == CAPTIONS
    assert read_captions({"xmp": text.encode("utf-16")}) == {}


def test_corrupt_data_are_ignored() -> None:
    chance = random.Random(0)
    for position in range(0, len(XMP), 17):
        noise, byte = chance.randbytes(position % 60), bytes([chance.randrange(256)])
        for xmp in (noise, XMP[:position], XMP[:position] + byte + XMP[position + 1 :], "\ud800", 7):
            for data in (noise, b"\x1c\x02" + noise, iptc((5, b"a")) + b"\x1c\x02\x74" + noise, {}):
                metadata = read_metadata({"xmp": xmp, "photoshop": {0x0404: data}})
                assert {entry.tag for entry in metadata.main} <= {DESCRIPTION, ARTIST, COPYRIGHT, TITLE}

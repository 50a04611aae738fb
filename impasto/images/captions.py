"""Read who made a picture, and what it shows, from XMP and IPTC data.

These are title, creator, copyright and description: the properties `dc:` of XMP (ISO 16684-1) and the data sets 2:05,
2:80, 2:116 and 2:120 of IPTC (IIM 4.2). What else these formats contain, such as a place, is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree

DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
XMP_NAMES = {"title": "title", "creator": "creator", "rights": "copyright", "description": "description"}
"""Property of XMP, and its name in `read_captions`."""
IPTC_NAMES = {5: "title", 80: "creator", 116: "copyright", 120: "description"}
"""Number of a data set of record 2 of IPTC, and its name in `read_captions`."""
IPTC_RESOURCE = 0x0404
"""Number of the resource of Photoshop with the IPTC data, in a JPEG."""
MAX_XMP = 2**20
"""Characters of XMP data that are parsed."""
MAX_BYTES = 4000
"""Bytes of UTF-8 of a text that are kept."""


def read_captions(info: Mapping[Any, Any]) -> dict[str, str]:
    """Return `title`, `creator`, `copyright` and `description`, as far as there are any; corrupt data are ignored.

    Args:
        info: the metadata that Pillow read. XMP precedes IPTC, which is read from a JPEG only.
    """
    photoshop = info.get("photoshop")
    iptc = photoshop.get(IPTC_RESOURCE) if isinstance(photoshop, Mapping) else None
    xmp = _decoded(info.get("xmp") or info.get("XML:com.adobe.xmp"))
    return (_iptc_texts(iptc) if isinstance(iptc, bytes) else {}) | _xmp_texts(xmp)


def _decoded(xmp: object) -> str:
    """Return XMP data as text, which is in UTF-8 in every file; nothing where it is in another encoding."""
    text = xmp if isinstance(xmp, str) else ""
    if isinstance(xmp, bytes):
        with suppress(UnicodeDecodeError):
            text = xmp.decode("utf-8")
    return text.strip("\0\ufeff \r\n\t")


def _xmp_texts(xmp: str) -> dict[str, str]:
    """Return the texts of the picture itself, not those of other documents that its history or its parts name."""
    if not xmp or len(xmp) > MAX_XMP or "<!DOCTYPE" in xmp:  # entities can make a text of any length
        return {}
    try:
        root = ElementTree.fromstring(xmp)  # of a string: no declaration selects another encoding
    except (ElementTree.ParseError, ValueError):
        return {}
    parents = [root] if root.tag == f"{RDF}RDF" else root.findall(f"{RDF}RDF")
    texts: dict[str, str] = {}
    for element in (each for parent in parents for each in parent.findall(f"{RDF}Description/{DUBLIN_CORE}*")):
        name = XMP_NAMES.get(element.tag.removeprefix(DUBLIN_CORE))
        if name is not None and name not in texts and (text := _cleaned(_xmp_text(element))):
            texts[name] = text
    return texts


def _xmp_text(element: ElementTree.Element) -> str:
    """Return a property: all items of a sequence, or the text in the default language, else in the first one."""
    items = element.findall(f"{RDF}*/{RDF}li")
    if not items:
        return element.text or ""
    if element.find(f"{RDF}Alt") is not None:
        items.sort(key=lambda item: item.get(LANGUAGE) != "x-default")
        return next((text for item in items if (text := (item.text or "").strip())), "")
    return _joined([item.text or "" for item in items])


def _iptc_texts(iptc: bytes) -> dict[str, str]:
    """Return the texts, which are in UTF-8, or in Latin-1 as far as one can know."""
    values: dict[str, list[str]] = {}
    for number, data in _data_sets(iptc):
        if number in IPTC_NAMES:
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                text = data.decode("latin-1")
            if text := _cleaned(text):
                values.setdefault(IPTC_NAMES[number], []).append(text)
    return {name: _cleaned(_joined(texts)) if name == "creator" else texts[0] for name, texts in values.items()}


def _data_sets(iptc: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the value of each data set of record 2, until the data are corrupt."""
    position = 0
    while position + 5 <= len(iptc) and iptc[position] == 0x1C:
        record, number = iptc[position + 1], iptc[position + 2]
        size = int.from_bytes(iptc[position + 3 : position + 5], "big")
        position += 5 + size
        if size > 0x7FFF or position > len(iptc):  # a longer value, for which nobody uses a text
            return
        if record == 2:
            yield number, iptc[position - size : position]


def _joined(texts: Sequence[str]) -> str:
    return "; ".join(text for each in texts if (text := each.strip()))


def _cleaned(text: str) -> str:
    """Return a text that fits into EXIF data, which end at a zero."""
    return text.replace("\0", "").strip().encode("utf-8", "ignore")[:MAX_BYTES].decode("utf-8", "ignore")

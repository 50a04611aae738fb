"""Color profiles of displays, for tests."""

from __future__ import annotations

import struct

import numpy as np

DISPLAY_P3 = [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)]
"""Chromaticities of red, green and blue."""


def matrix_profile(primaries: list[tuple[float, float]], gamma: float) -> bytes:
    """Build an ICC 2.4 display profile from red, green, blue and D65 white as xy, and one gamma."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in [*primaries, (0.3127, 0.3290)]]).T
    matrix = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    matrix = bradford(xyz[:, 3]) @ matrix

    def s15(values: np.ndarray | list[float]) -> bytes:
        return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)

    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"wtpt": b"XYZ " + bytes(4) + s15([0.9642, 1, 0.8249]),
        b"rXYZ": b"XYZ " + bytes(4) + s15(matrix[:, 0]),
        b"gXYZ": b"XYZ " + bytes(4) + s15(matrix[:, 1]),
        b"bXYZ": b"XYZ " + bytes(4) + s15(matrix[:, 2]),
        **dict.fromkeys(
            (b"rTRC", b"gTRC", b"bTRC"),
            b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2),
        ),
    }
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">II", offset + len(body), len(data))
        body += data
    head = bytes(8) + struct.pack(">I", 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    head = (head + s15([0.9642, 1, 0.8249])).ljust(128, b"\0")
    profile = head + table + body
    return struct.pack(">I", len(profile)) + profile[4:]


def bradford(white: np.ndarray) -> np.ndarray:
    """Return the 3x3 adaptation of XYZ from `white` to D50 (ICC.1:2022, annex E)."""
    cone = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    ratio = (cone @ [0.9642, 1, 0.8249]) / (cone @ white)
    return np.linalg.inv(cone) @ np.diag(ratio) @ cone

"""Drawn pictures in every encoding, and files that a well-behaved encoder would never write."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 160, 60), (30, 60, 200), (120, 120, 120)
PNG_START = b"\x89PNG\r\n\x1a\n"


def draw(width: int = 64, height: int = 48) -> Image.Image:
    """Four quarters of different colours: every flip and every turn changes the picture."""
    picture = Image.new("RGB", (width, height), RED)
    half = (width // 2, height // 2)
    picture.paste(GREEN, (half[0], 0, width, half[1]))
    picture.paste(BLUE, (0, half[1], half[0], height))
    picture.paste(GREY, (*half, width, height))
    return picture


def encode(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, *, depth: int, colour: int, rows: bytes, before: bytes = b"", after: bytes = b""
) -> bytes:
    """A PNG from raw rows (each with a filter byte), with chunks before and after the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return PNG_START + header + before + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND")


def deep_png(values: NDArray[np.uint16], *, colour: int, before: bytes = b"") -> bytes:
    """A 16-bit PNG of (H, W) grey or (H, W, channels) values."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(width, height, depth=16, colour=colour, rows=rows, before=before)


def blank_png(width: int, height: int, *, colour: int = 0) -> bytes:
    """A black PNG of any size in a few bytes; its rows are compressed one by one."""
    packer, line = zlib.compressobj(9), b"\0" * (1 + width * {0: 1, 2: 3, 6: 4}[colour])
    data = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return PNG_START + header + chunk(b"IDAT", data) + chunk(b"IEND")


def turned(orientation: int, kind: str = "PNG", **options: Any) -> bytes:
    """The drawn picture, stored turned, with the EXIF tag to turn it back."""
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    picture = draw() if stored is None else draw().transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(picture, kind, exif=exif, **options)


def many_scans(scans: int, *, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan is repeated; each scan has a few bytes and visits every pixel."""
    image = encode(Image.new("RGB", (side, side), RED), "JPEG", progressive=True)
    last = image[image.rindex(b"\xff\xda") : -2]
    return image[:-2] + last * scans + image[-2:]


def flip_bit(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 0x10
    return bytes(changed)

"""Notebooks and pictures, made by hand."""

import json
import struct
import zlib
from base64 import b64encode
from typing import Any


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 2, height: int = 2, extra: bytes = b"") -> str:
    """A PNG of one colour in base64; `extra` makes it another picture, or a larger file."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(3 * min(width, 64))) * min(height, 64))
    return b64encode(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tEXt", b"x\0" + extra)
        + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    ).decode()


def jpeg(width: int = 3, height: int = 2) -> str:
    """The beginning of a JPEG: enough to tell its size."""
    app = b"\xff\xe0\x00\x10JFIF\0" + bytes(9)
    frame = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + bytes(12)
    return b64encode(b"\xff\xd8" + app + frame + b"\xff\xd9").decode()


def shown(kind: str, data: Any, **rest: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": {kind: data}, **rest}


def printed(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text}


def code(id: str, source: Any, *outputs: Any, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "cell_type": "code", "id": id, "metadata": {"tags": list(tags)}, "source": source,
        "execution_count": 1, "outputs": list(outputs),
    }


def text(id: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": source}


def notebook(*cells: Any, **rest: Any) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **rest}


def dumped(*cells: Any) -> bytes:
    return json.dumps(notebook(*cells)).encode()

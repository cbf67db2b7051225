"""Pictures in a notebook's outputs that a page of ours may show: PNG and JPEG, and really that.

What an output calls a PNG may be anything. A page is given a picture only where its first bytes
say what it is, and where neither the file nor what a browser makes of it is large.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hub.core.notebook import text_of

LARGEST = 600_000  # bytes of one picture
_MOST_PIXELS = 25_000_000  # a small file may unfold into gigabytes of them
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
# the frame headers of JPEG that tell the size; C4, C8 and CC are other things
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
KINDS = ("image/png", "image/jpeg")


@dataclass(frozen=True)
class Picture:
    """One picture. `uri` is for an <img>; "" where it is not shown: too large, or no such picture.

    `size` in bytes; `width` and `height` in pixels, 0 where they are not known.
    """

    kind: str
    size: int
    width: int = 0
    height: int = 0
    uri: str = ""


def pictures_of(outputs: Iterable[Any]) -> Iterator[tuple[str, Picture]]:
    """(its base64 text, the picture) of each output that has one; PNG rather than JPEG."""
    for output in outputs:
        data = output.get("data") if isinstance(output, Mapping) else None
        if not isinstance(data, Mapping):
            continue
        for kind in KINDS:
            text = text_of(data.get(kind))
            if text:
                yield text, picture(kind, text)
                break


def picture(kind: str, text: str, *, largest: int = LARGEST) -> Picture:
    """The picture in a base64 text that an output says is of this kind; `largest` in bytes."""
    size = len(text) * 3 // 4
    if size > largest:
        return Picture(kind, size)
    plain = "".join(text.split())
    if not _BASE64.fullmatch(plain):
        return Picture(kind, size)
    try:
        data = b64decode(plain)
    except binascii.Error:
        return Picture(kind, size)
    width, height = (_png if kind == "image/png" else _jpeg)(data)
    shown = 0 < width * height <= _MOST_PIXELS
    uri = f"data:{kind};base64,{plain}" if shown else ""
    return Picture(kind, len(data), width, height, uri)


def _png(data: bytes) -> tuple[int, int]:
    if not data.startswith(_PNG) or data[12:16] != b"IHDR" or len(data) < 24:  # noqa: PLR2004
        return 0, 0
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _jpeg(data: bytes) -> tuple[int, int]:
    """Width and height out of the first frame header."""
    if not data.startswith(_JPEG):
        return 0, 0
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:  # noqa: PLR2004 - how a marker begins
        marker = data[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 if marker in _BARE else 2 + int.from_bytes(data[at + 2 : at + 4])
    return 0, 0

"""Pictures in a notebook's outputs that a page of ours may show: PNG and JPEG, and really that.

What an output calls a PNG may be anything. A page is given a picture only where its first bytes
say what it is, and where neither the file nor what a browser makes of it is large.
"""

import binascii
import string
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from hub.core.notebook import text_of

LARGEST = 600_000  # bytes of one picture
_MOST_PIXELS = 25_000_000  # a small file may unfold into gigabytes of them
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
MOST = 24  # of one cell
_LETTERS = (string.ascii_letters + string.digits + "+/").encode()
_HEAD = 4 << 16  # base64 letters: the size of a JPEG may stand behind a preview
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


def pictures_of(outputs: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """(kind, base64 text) of each output that says it has a picture; PNG rather than JPEG."""
    for output in outputs:
        data = output.get("data") if isinstance(output, Mapping) else None
        if not isinstance(data, Mapping):
            continue
        for kind in KINDS:
            text = text_of(data.get(kind))
            if text:
                yield kind, text
                break


def picture(kind: str, text: str, *, largest: int = LARGEST) -> Picture:
    """The picture in a base64 text that an output says is of this kind; `largest` in bytes."""
    size = len(text) * 3 // 4
    if size > largest or not text.isascii():
        return Picture(kind, size)
    plain = "".join(text.split()).encode()
    if plain.translate(None, _LETTERS).strip(b"=") or plain.count(b"=") != _padding(plain):
        return Picture(kind, size)
    try:
        head = b64decode(plain[:_HEAD])
    except binascii.Error:
        return Picture(kind, size)
    width, height = (_png if kind == "image/png" else _jpeg)(head)
    shown = 0 < width * height <= _MOST_PIXELS
    uri = f"data:{kind};base64,{plain.decode()}" if shown else ""
    return Picture(kind, size, width, height, uri)


def _padding(plain: bytes) -> int:
    """How many signs that say nothing stand at the end, where they may stand."""
    return len(plain) - len(plain.rstrip(b"="))


class Room:
    """What is left of the bytes that the pictures of one page may have.

    Those for which there is none any more are not looked at: decoding hundreds takes its time.
    """

    def __init__(self, size: int) -> None:
        self._left = size

    def look(self, found: Iterable[tuple[str, str]]) -> tuple[Picture, ...]:
        """The pictures of outputs, as far as there is room to show them."""
        return tuple(self._one(kind, text) for kind, text in islice(found, MOST))

    def take(self, pictures: Iterable[Picture]) -> tuple[Picture, ...]:
        """The same for pictures that were looked at already."""
        return tuple(
            x if self._fits(len(x.uri)) else replace(x, uri="") for x in pictures
        )

    def _one(self, kind: str, text: str) -> Picture:
        if len(text) > self._left:
            return Picture(kind, len(text) * 3 // 4)
        found = picture(kind, text)
        self._left -= len(found.uri)
        return found

    def _fits(self, size: int) -> bool:
        fits = size <= self._left
        self._left -= size if fits else 0
        return fits


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

"""Blobs: what releases hold, each kept once under the SHA-256 of its bytes, and never changed.

`<root>/<2 hex>/<sha256>`. The folder above is root's alone; the files can be read by all, because
read-only data is handed out as hard links to them.
"""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hub.errors import Unavailable

_NAME = re.compile(r"[0-9a-f]{64}")
_PART, _BACK = ".part-", ".back-"
_OWN, _READABLE = 0o700, 0o444


class Blobs:
    """The blobs in one folder; safe from many threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, content: bytes, made: dict[str, int] | None = None) -> str:
        """Keep these bytes; their SHA-256. They are on the disk afterwards.

        Args:
            made: is told what was not there before, for `take_back`.

        Raises:
            OSError: they are not.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path(sha256)
        if made is not None and sha256 in made:
            return sha256  # by the same push: it is still its own
        if _touched(path):
            return sha256
        path.parent.mkdir(mode=_OWN, parents=True, exist_ok=True)
        part = path.parent / f"{_PART}{secrets.token_hex(8)}"
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(content)
                file.flush()
                os.fchmod(fd, _READABLE)
                os.fsync(fd)
                at = os.fstat(fd).st_mtime_ns
            while not _linked(part, path):  # somebody else was faster
                if _touched(path):
                    return sha256
        finally:
            part.unlink(missing_ok=True)
        if made is not None:
            made[sha256] = at
        _sync(path.parent)
        return sha256

    def take_back(self, made: Mapping[str, int]) -> None:
        """Remove what `put` has told, but what somebody has put again since: that is theirs."""
        for sha256, at in made.items():
            path = self.path(sha256)
            aside = path.parent / f"{_BACK}{sha256}-{secrets.token_hex(8)}"
            with suppress(OSError):
                path.rename(aside)  # first: from now on whoever puts it makes it anew
                if aside.stat().st_mtime_ns != at:
                    _linked(aside, path)
                aside.unlink()

    def get(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            Unavailable: they are gone, or are not what they were.
        """
        try:
            content = self.path(sha256).read_bytes()
        except OSError as e:
            raise _lost(sha256, str(e)) from e
        if hashlib.sha256(content).hexdigest() != sha256:
            raise _lost(sha256, "its bytes have changed")
        return content

    def path(self, sha256: str) -> Path:
        """Where it lies, or would.

        Raises:
            ValueError: no SHA-256; it is not to become a path.
        """
        if not _NAME.fullmatch(sha256):
            raise ValueError(f"no SHA-256: {sha256[:80]!r}")
        return self.root / sha256[:2] / sha256

    def link(self, sha256: str, target: Path) -> None:
        """The blob under another name too, readable by all; whatever has that name goes.

        Raises:
            OSError: it cannot be.
        """
        part = target.parent / f"{_PART}{secrets.token_hex(8)}"
        os.link(self.path(sha256), part)
        part.replace(target)

    def sweep(self, before: float) -> None:
        """Remove what those who were killed before this time (Unix) have begun.

        What was being taken back is put back: somebody may have put it again.
        """
        for left in self.root.glob(f"*/{_BACK}*"):
            with suppress(OSError, ValueError):
                if left.stat().st_ctime < before:
                    _linked(left, self.path(left.name.removeprefix(_BACK)[:64]))
                    left.unlink()
        for left in self.root.glob(f"*/{_PART}*"):
            with suppress(OSError):
                if left.stat().st_mtime < before:
                    left.unlink()


def _touched(path: Path) -> bool:
    """Whether it is there; whoever has made it does not take it back from now on."""
    try:
        at = max(time.time_ns(), path.stat().st_mtime_ns + 1)
        os.utime(path, ns=(at, at))
    except FileNotFoundError:
        return False
    return path.exists()  # it may have been taken back while it was touched


def _linked(part: Path, path: Path) -> bool:
    """Whether `part` got this name; not where something has it already."""
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    return True


def _lost(sha256: str, why: str) -> Unavailable:
    return Unavailable(
        "A file of the course cannot be read. Please tell the operator.", reason="course",
        detail=f"blob {sha256}: {why}",
    )


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

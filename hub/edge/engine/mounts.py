"""A file in a folder of this machine that a container has: read where it lies, not by Docker.

Docker takes a tenth of a second for each file, and every run has two. A student owns all that is
below, so no link is followed here: where one stands in the way, or anything else that is no plain
file, Docker is asked, which finds the way inside the container.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Any

from hub.errors import Unknown

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_ANYTHING = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC  # not opened yet: a pipe would be, too


class NotHere(Exception):
    """Docker has to be asked."""


def read(mounts: Iterable[Mapping[str, Any]], path: str, limit: int) -> bytes | None:
    """A plain file at `path` in the container; None where it has more than `limit` bytes.

    Args:
        mounts: as Docker lists them.

    Raises:
        NotHere: it is not in a mounted folder, or not a plain file, or not to be read.
        Unknown: its owner keeps it from being opened; Docker would wait.
    """
    source, below = _place(mounts, PurePosixPath(path))
    with ExitStack() as opened:
        def kept(fd: int) -> int:
            opened.callback(os.close, fd)
            return fd

        try:
            at = kept(os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            for name in below.parts[:-1]:
                at = kept(os.open(name, _FOLDER, dir_fd=at))
            found = kept(os.open(below.name, _ANYTHING, dir_fd=at))
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise NotHere(path)
            # a lease that its owner holds on it would be waited for, in the tick
            file = kept(os.open(f"/proc/self/fd/{found}", _READ))
            text = b"".join(_pieces(file, limit + 1))
        except BlockingIOError as e:
            raise Unknown(f"{path} is held by a lease") from e
        except OSError as e:
            raise NotHere(str(e)) from e
    return text if len(text) <= limit else None


def _place(
    mounts: Iterable[Mapping[str, Any]], path: PurePosixPath
) -> tuple[str, PurePosixPath]:
    """(the mounted folder on this machine, the way from there)."""
    found = [x for x in mounts if path.is_relative_to(x["Destination"])]
    nearest = max(found, key=lambda x: len(x["Destination"]), default=None)
    if nearest is None or nearest.get("Type") != "bind" or ".." in path.parts:
        raise NotHere(str(path))
    below = path.relative_to(nearest["Destination"])
    if not below.name:
        raise NotHere(str(path))
    return nearest["Source"], below


def _pieces(file: int, most: int) -> Iterator[bytes]:
    while most > 0 and (piece := os.read(file, min(most, 1 << 20))):
        most -= len(piece)
        yield piece

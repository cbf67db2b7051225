"""Writes that a reader never sees half done, and folders that are nobody else's."""

import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_atomic(path: Path, text: str) -> None:
    """Replace `path` with `text` (UTF-8) in one step; on any error the old file stays as it was.

    The temporary file lies in the same folder: a rename across file systems is a copy.

    Raises:
        OSError: disk full, quota, read-only; the temporary file is gone again.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("w", encoding="utf-8") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        aside.replace(path)
    except BaseException as e:
        aside.unlink(missing_ok=True)
        if isinstance(e, OSError):
            e.filename = str(path)  # a full disk names no file, and nobody knows the one aside
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One at a time in this folder, over all processes and threads; made where it is not there.

    Raises:
        OSError: it cannot be made or opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # a file system without locks: two writers at once are rare, and a figure is worth more
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def sync(folder: Path) -> None:
    """Put a folder's names on the disk: after a rename, a power cut must not undo it.

    Raises:
        OSError: it cannot be opened.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def fresh_folder(wanted: Path) -> Path:
    """Make `wanted`, or `wanted-2`, `wanted-3`, … if there is one; two runs never share a folder.

    Raises:
        OSError: it cannot be made.
    """
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for name in numbered(wanted.name):
        folder = wanted.with_name(name)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("unreachable")


def numbered(name: str) -> Iterator[str]:
    """`name`, `name-2`, `name-3`, … without end."""
    yield name
    yield from (f"{name}-{i}" for i in itertools.count(2))


def set_aside(path: Path, mark: str) -> None:
    """Rename `lab.ipynb` to `lab.<mark>.ipynb`, over no other file; nothing where there is none.

    Raises:
        OSError: it cannot be renamed.
    """
    free = (path.with_name(f"{path.stem}.{x}{path.suffix}") for x in numbered(mark))
    if path.exists():
        path.rename(next(x for x in free if not x.exists()))

"""Putting a file into a student's home, from outside, as root.

Whoever owns the home may have put a link anywhere in it, and may move things while we write. So
nothing below the home is named by a path: each step is opened from the one before and follows no
link, the file is a new one that nobody else has, and it takes its name by a rename.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def leave(home: Path, folder: str, name: str, content: bytes) -> None:
    """Write `content` to `folder`/`name` in the home, owned by whoever owns the home.

    A file of that name is replaced; a link of that name too, not what it points to.

    Args:
        folder: one name, made where it is not there.
        name: one name.

    Raises:
        OSError: no such home, a link or something else stands in the folder's place, no space.
    """
    if any(x in ("", ".", "..") or "/" in x or "\0" in x for x in (folder, name)):
        raise ValueError("one name each")
    with _opened(home) as top:
        owner = os.fstat(top)
        with suppress(FileExistsError):
            os.mkdir(folder, 0o755, dir_fd=top)
            # the folder itself, whatever stands there by now
            os.chown(folder, owner.st_uid, owner.st_gid, dir_fd=top, follow_symlinks=False)
        with _opened(folder, top) as place:
            if os.fstat(place).st_uid != owner.st_uid:
                raise PermissionError(f"{folder} is not the home's owner's")
            _put(place, name, content, owner)


@contextmanager
def _opened(path: Path | str, within: int | None = None) -> Iterator[int]:
    fd = os.open(path, _FOLDER, dir_fd=within)
    try:
        yield fd
    finally:
        os.close(fd)


def _put(place: int, name: str, content: bytes, owner: os.stat_result) -> None:
    aside = f".{secrets.token_hex(8)}.new"
    fd = os.open(aside, _NEW, 0o600, dir_fd=place)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(content)
            file.flush()
            os.fchown(fd, owner.st_uid, owner.st_gid)
            os.fchmod(fd, stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH)
            os.fsync(fd)
        os.rename(aside, name, src_dir_fd=place, dst_dir_fd=place)
    except OSError:
        with suppress(OSError):
            os.unlink(aside, dir_fd=place)
        raise

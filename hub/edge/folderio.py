"""The system calls behind `hub.edge.folders`, which alone imports this."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from hub.edge.folderseen import Seen, same_of
from hub.errors import Unavailable

Make = Callable[[int, str], None]
_NO_REPLACE, _EXCHANGE = 1, 2  # linux/fs.h
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_HERE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_NO_WAY = frozenset({
    errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTEMPTY, errno.EILSEQ,
    errno.EINVAL,
})
_LOCKED = frozenset({errno.EPERM, errno.EACCES, errno.EWOULDBLOCK, errno.ETXTBSY, errno.EBUSY})


class Odd(Exception):
    """Something stands there that is left alone; `problem` as in Seen."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class Changed(Exception):
    """What stands there is not what was read: its owner was faster, and it was left."""


@contextmanager
def told(path: str) -> Iterator[None]:
    """Failures of the disk in our words; what comes or goes meanwhile is somebody's change."""
    try:
        yield
    except (FileExistsError, FileNotFoundError):
        raise Changed(path) from None
    except OSError as e:
        if e.errno in _FULL:
            raise Unavailable(
                "The disk is full: {path} was left as it is. The operator must free space.",
                reason="disk-full", status=507, path=path, detail=f"{path}: {e}",
            ) from e
        if e.errno in _NO_WAY:
            raise Odd("way") from e
        if e.errno in _LOCKED:
            raise Odd("locked") from e
        raise Unavailable(
            "The disk does not write {path}. Please tell the operator.", reason="home", path=path,
            detail=f"{path}: {e}",
        ) from e


def aside_of(name: str) -> str:
    """Where the new file of this name is written: always the same, so that a later one finds it."""
    digest = sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
    return f".madang-{digest}.part"


def is_aside(name: str) -> bool:
    """Whether it is such a name."""
    return name.startswith(".madang-") and name.endswith(".part")


def locked(fd: int) -> bool:
    """Whether somebody has locked this file for themselves."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def clear(place: int, aside: str) -> None:
    """Nothing stands under a name that is ours."""
    try:
        os.unlink(aside, dir_fd=place)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        os.rmdir(aside, dir_fd=place)


def name_new(place: int, aside: str, name: str) -> None:
    """Give a new file its name.

    Raises:
        FileExistsError: something has it.
    """
    try:
        _rename(place, aside, name, _NO_REPLACE)
    except OSError as e:
        if e.errno not in _NOT_HERE:
            raise
        _name_slowly(place, aside, name)


def _name_slowly(place: int, aside: str, name: str) -> None:
    """The same where the file system cannot: a link does not replace, nor does a folder a file."""
    try:
        os.link(aside, name, src_dir_fd=place, dst_dir_fd=place, follow_symlinks=False)
    except PermissionError:  # a folder has no second name
        os.rename(aside, name, src_dir_fd=place, dst_dir_fd=place)
    else:
        os.unlink(aside, dir_fd=place)


def swap(place: int, aside: str, name: str, was: Seen) -> None:
    """Put a file in the place of the one that was seen there; that one is gone afterwards.

    Raises:
        Changed: another one stands there, and stays.
    """
    if not exchange(place, aside, name):  # this file system cannot: a moment is left unguarded
        if same_of(os.stat(name, dir_fd=place, follow_symlinks=False)) != was.same:
            raise Changed(name)
        os.rename(aside, name, src_dir_fd=place, dst_dir_fd=place)
        return
    if same_of(os.stat(aside, dir_fd=place, follow_symlinks=False)) != was.same:
        try:
            exchange(place, aside, name)
        except OSError:  # ours was taken away meanwhile: theirs gets its name again
            put_back(place, aside, name)
        raise Changed(name)
    os.unlink(aside, dir_fd=place)


def exchange(place: int, one: str, other: str) -> bool:
    """Swap two names; False where this file system cannot."""
    try:
        _rename(place, one, other, _EXCHANGE)
    except OSError as e:
        if e.errno in _NOT_HERE:
            return False
        raise
    return True


def take(place: int, name: str, aside: str) -> None:
    """Move a file aside."""
    os.rename(name, aside, src_dir_fd=place, dst_dir_fd=place)


def put_back(place: int, aside: str, name: str) -> None:
    """Move it back.

    Raises:
        FileExistsError: something new has taken its name; it stays aside.
    """
    name_new(place, aside, name)


def _rename(place: int, old: str, new: str, flags: int) -> None:
    done = _LIBC.renameat2(place, os.fsencode(old), place, os.fsencode(new), flags)
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), new)


_LIBC = ctypes.CDLL(None, use_errno=True)

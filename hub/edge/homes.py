"""Homes: what students keep. Made once, whole or not at all, and then never touched inside.

A student owns everything below the top folder, and may have put a symbolic link anywhere: root
does not go in there.
"""

import errno
import fcntl
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.config import Settings
from hub.core.names import safe_name
from hub.errors import Unavailable

log = logging.getLogger(__name__)

UID = GID = 1000  # the student in every image
_UNFINISHED = ".new-"
# the last is the operator's
_NOT_SHIPPED = frozenset({"__pycache__", ".ipynb_checkpoints", ".git", "schedules.toml"})
_COURSE = "course.toml"  # a folder with one is a course: it comes as a release
_SHIPPED = Path(__file__).resolve().parents[2] / "notebooks"
_OWN = 0o700
_TRAVERSE = 0o711  # homes can be reached, their names cannot be listed


class Homes:
    """The folder `<data>/homes`, one folder in it per student. Needs root.

    Args:
        skeleton: folder that a fresh home gets a copy of, under its own name; the shipped
            `notebooks` by default, nothing where it does not exist.
    """

    def __init__(self, settings: Settings, skeleton: Path | None = None) -> None:
        self.data = settings.data
        self.root = settings.data / "homes"
        self.skeleton = skeleton or _SHIPPED

    def path(self, user: str) -> Path:
        """Where the student's home is or would be."""
        return self.root / safe_name(user)

    def ensure(self, user: str) -> Path:
        """The student's home, made where there is none; one that is there keeps its content.

        Owner and mode (1000:1000, 700) of the top folder are repaired, nothing below it.

        Raises:
            Unavailable: no space left, not root, or something else stands in its place.
        """
        home = self.path(user)
        try:
            self._parents()
            if not os.path.lexists(home):
                self._make(home)
            _repair(home)
        except OSError as e:
            raise _refused(home, e) from e
        return home

    def free_mib(self) -> int:
        """MiB that can still be written where the homes are."""
        place = self.root
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free // 2**20

    def _parents(self) -> None:
        self.data.mkdir(mode=_TRAVERSE, parents=True, exist_ok=True)
        self.root.mkdir(mode=_TRAVERSE, exist_ok=True)
        # `data` may be a folder of the operator's with a mode of its own; this one is ours
        if stat.S_IMODE(self.root.stat().st_mode) != _TRAVERSE:
            self.root.chmod(_TRAVERSE)

    def _make(self, home: Path) -> None:
        with self._alone():
            if os.path.lexists(home):
                return
            aside = self.root / f"{_UNFINISHED}{secrets.token_hex(8)}"
            try:
                aside.mkdir(mode=_OWN)
                if self.skeleton.is_dir():
                    _copy(self.skeleton, aside / self.skeleton.name)
                os.chown(aside, UID, GID)
                _sync(aside)
                aside.rename(home)
                _sync(self.root)
            finally:
                shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One maker at a time, over all processes. What a killed one left aside is removed."""
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self.root.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left)
            yield


def _copy(source: Path, target: Path) -> None:
    """A copy that belongs to the student and is on the disk; shutil's own hides why it failed."""
    target.mkdir()
    for each in sorted(source.iterdir()):
        copy = target / each.name
        if each.name in _NOT_SHIPPED or (each / _COURSE).is_file():
            continue
        if each.is_symlink():
            copy.symlink_to(each.readlink())
            os.chown(copy, UID, GID, follow_symlinks=False)
        elif each.is_dir():
            _copy(each, copy)
        else:
            shutil.copyfile(each, copy)
            _give(copy, 0o644)
    _give(target, 0o755)


def _give(path: Path, mode: int) -> None:
    os.chown(path, UID, GID)
    path.chmod(mode)
    _sync(path)


def _repair(home: Path) -> None:
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(home))
    if (found.st_uid, found.st_gid) != (UID, GID):
        log.warning("home %s belonged to %d:%d; given to %d:%d, its content left as it is",
                    home, found.st_uid, found.st_gid, UID, GID)
        os.chown(home, UID, GID, follow_symlinks=False)
    if stat.S_IMODE(found.st_mode) != _OWN:
        home.chmod(_OWN)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _refused(home: Path, error: OSError) -> Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(
            "The disk is full, so your home could not be made. Please tell the operator.",
            reason="disk-full", status=507, detail=f"{home}: {error}",
        )
    if error.errno == errno.EPERM:
        why = f"{home}: {error}; Madang must run as root"
    else:
        why = f"{home}: {error}"
    return Unavailable("Your home is not available. Please tell the operator.",
                       reason="home", detail=why)

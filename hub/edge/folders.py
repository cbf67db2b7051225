"""A folder in a student's home, read and written from outside, as root.

Whoever owns the home may have put a link, a pipe or a second name anywhere in it, and may change
all of it while we look. So nothing is named by a path: every step is opened from the one before and
follows no link, what is read is known to be a plain file after it was opened, and what is replaced
is swapped with the new file first and looked at: if it is not what was read, it is swapped back.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from hub.edge import folderio as io
from hub.edge.folderio import Changed, Odd
from hub.edge.folderseen import (
    ABSENT,
    DEEPEST,
    READABLE,
    Entry,
    Seen,
    beside,
    filled,
    parts_of,
    same_of,
    seen_of,
)
from hub.errors import BadInput

__all__ = ["ABSENT", "Changed", "Entry", "Folder", "Odd", "Seen", "beside", "opened", "parts_of"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# a pipe would wait for its other end, a terminal would become ours, a lease would be waited for
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """An open folder; `path` arguments are relative to it, with `/`. See `opened`."""

    def __init__(self, fd: int, owner: os.stat_result) -> None:
        self._fd = fd
        self._owner = owner
        self._touched: set[tuple[str, ...]] = set()

    # ---- reading -------------------------------------------------------------------------------

    def look(self, path: str) -> Seen:
        """What stands there, without opening it.

        Raises:
            Unavailable: the disk does not answer; so do all others.
        """
        return self._at(path, self._seen)

    def read(self, path: str, most: int, *, keep: bool = True, guard: bool = False) -> Seen:
        """The same; of a plain file that has at most `most` bytes also its SHA-256 and content.

        Args:
            keep: without it there is no content.
            guard: what may not be replaced is odd. Else it is read, and `problem` says why; to be
                given to `write` it must be without one.
        """
        def contents(place: int, name: str) -> Seen:
            seen = self._seen(place, name)
            if seen.kind != "file" and (guard or seen.problem not in READABLE):
                return seen
            return self._contents(place, name, most, keep=keep, guard=guard)

        return self._at(path, contents)

    def _at(self, path: str, see: Callable[[int, str], Seen]) -> Seen:
        *way, name = parts_of(path)
        try:
            with io.told(path), self._place(way) as place:
                return see(place, name)
        except Odd as e:
            return Seen("odd", e.problem)
        except Changed:  # a folder on the way is not there, or was there just now
            return ABSENT

    def walk(self, most: int) -> list[Entry]:
        """Everything below, by path; links are told and not followed.

        Raises:
            BadInput: more than `most` entries, or folders in folders without an end.
        """
        found: list[Entry] = []
        self._walk(self._fd, "", found, most)
        return sorted(found, key=lambda x: x.path)

    def _walk(self, fd: int, above: str, found: list[Entry], most: int) -> None:
        if above.count("/") > DEEPEST:
            raise BadInput("There are folders in folders in {path}.", reason="too-large",
                           path=above[:200])
        folders = []
        with os.scandir(fd) as entries:
            for each in entries:
                if io.is_aside(each.name):
                    continue
                if len(found) >= most:
                    raise BadInput("There are more than {most} files.", reason="too-large",
                                   most=most)
                seen = self._seen(fd, each.name)
                path = above + each.name
                found.append(Entry(path, seen.kind, seen.size, seen.mode, seen.problem))
                if seen.kind == "folder":
                    folders.append(each.name)
        for name in folders:
            # it may have been moved since, or be somebody else's
            with suppress(OSError, Odd), self._step(fd, name) as inner:
                self._walk(inner, f"{above}{name}/", found, most)

    def _seen(self, place: int, name: str) -> Seen:
        try:
            found = os.stat(name, dir_fd=place, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                target = os.readlink(name, dir_fd=place)
                return Seen("link", target=target, same=same_of(found), size=found.st_size)
        except FileNotFoundError:
            return ABSENT
        except OSError:  # no link any more, or a name that no file can have
            return Seen("odd", "special")
        return seen_of(found, self._owner)

    def _contents(self, place: int, name: str, most: int, *, keep: bool, guard: bool) -> Seen:
        try:
            fd = os.open(name, _READ, dir_fd=place)
        except FileNotFoundError:
            return ABSENT
        except OSError as e:
            busy = e.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EPERM, errno.ETXTBSY)
            return Seen("odd", "locked" if busy else "special")
        try:
            seen = seen_of(os.fstat(fd), self._owner)
            if seen.kind == "file" and io.locked(fd):
                seen = replace(seen, kind="odd", problem="locked")
            if seen.kind != "file" and (guard or seen.problem not in READABLE):
                return seen
            return filled(fd, seen, most, keep=keep)
        finally:
            os.close(fd)

    # ---- writing -------------------------------------------------------------------------------

    def write(
        self, path: str, content: bytes, *, was: Seen, executable: bool = False,
        lasting: bool = True,
    ) -> None:
        """Write a file whole or not at all; one that is there keeps its mode. `sync` comes after.

        Args:
            was: what stood there; whoever read it decided that it may go.
            lasting: without it, one that is new may be lost with the power.

        Raises:
            Changed: something else stands there now, and was left.
            Odd: there is no way to it, or it cannot be replaced.
            Unavailable: the disk is full or does not write; nothing was changed.
        """
        mode = was.mode if was.kind == "file" else 0o755 if executable else 0o644

        def make(place: int, aside: str) -> None:
            fd = os.open(aside, _NEW, 0o600, dir_fd=place)
            with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(content)
                file.flush()
                os.fchown(fd, self._owner.st_uid, self._owner.st_gid)
                os.fchmod(fd, mode)
                if lasting:
                    os.fsync(fd)

        self._put(path, make, was, lasting=lasting)

    def link(self, path: str, target: str, *, was: Seen) -> None:
        """Put a symbolic link there. Raises as `write`."""
        def make(place: int, aside: str) -> None:
            os.symlink(target, aside, dir_fd=place)
            os.chown(aside, self._owner.st_uid, self._owner.st_gid, dir_fd=place,
                     follow_symlinks=False)

        self._put(path, make, was)

    def remove(self, path: str, *, was: Seen) -> None:
        """Take a file or link away, and the folders that it leaves empty. Raises as `write`."""
        *way, name = parts_of(path)
        aside = io.aside_of(name)
        if was.problem:
            raise Odd(was.problem)
        with io.told(path), self._place(way) as place:
            io.clear(place, aside)
            io.take(place, name, aside)
            if same_of(os.stat(aside, dir_fd=place, follow_symlinks=False)) != was.same:
                io.put_back(place, aside, name)
                raise Changed(path)
            os.unlink(aside, dir_fd=place)
        self._touched.add(tuple(way))
        self._drop_empty(way)

    def make(self, path: str) -> None:
        """Make a folder and those above it, the student's. Raises as `write`."""
        with io.told(path), self._place(parts_of(path), make=True):
            pass

    def sync(self) -> None:
        """After it, what was written, linked and removed is so also when the power goes.

        Raises:
            Unavailable: the disk does not say so.
        """
        # the folders above too: one of them may be new
        ways = {way[:i] for way in self._touched for i in range(len(way) + 1)}
        for way in ways:
            with suppress(Odd, Changed), io.told("/".join(way)), self._place(list(way)) as place:
                os.fsync(place)
        self._touched.clear()

    def settle(self, path: str, before: str, after: str, most: int) -> None:
        """Take away what a killed `write` or `remove` of this path has left aside.

        What its owner wrote in that moment is put back in place.

        Args:
            before, after: SHA-256 of what stood there and of what was to; "" for nothing.
        """
        *way, name = parts_of(path)
        aside = io.aside_of(name)
        with suppress(Odd, Changed), io.told(path), self._place(way) as place:
            left = self._seen(place, aside)
            if left.kind == "absent":
                return
            theirs = False
            if left.kind == "file":
                found = self._contents(place, aside, most, keep=False, guard=True).sha256
                now = self._contents(place, name, most, keep=False, guard=True)
                theirs = found not in (before, after) and (
                    now.sha256 == after if now.kind == "file" else not after
                )
            if theirs and not (after and io.exchange(place, aside, name)):
                io.put_back(place, aside, name)
            io.clear(place, aside)

    def _put(self, path: str, make: io.Make, was: Seen, *, lasting: bool = True) -> None:
        if was.problem or was.kind not in ("absent", "file", "link"):
            raise Odd(was.problem or was.kind)
        *way, name = parts_of(path)
        aside = io.aside_of(name)
        with io.told(path), self._place(way, make=True) as place:
            io.clear(place, aside)
            try:
                make(place, aside)
                if was.kind == "absent":
                    io.name_new(place, aside, name)
                else:
                    io.swap(place, aside, name, was)
            except Exception:
                with suppress(OSError):
                    io.clear(place, aside)
                raise
        if lasting:
            self._touched.add(tuple(way))

    def _drop_empty(self, way: list[str]) -> None:
        while way:
            *way, last = way
            try:
                with self._place(way) as place:
                    os.rmdir(last, dir_fd=place)
            except (OSError, Odd):
                return
            self._touched.add(tuple(way))

    # ---- the way there -------------------------------------------------------------------------

    @contextmanager
    def _place(self, way: list[str], *, make: bool = False) -> Iterator[int]:
        """The folder at the end of these steps, open."""
        fd = os.dup(self._fd)
        try:
            for name in way:
                if make:
                    self._make(fd, name)
                with self._step(fd, name) as inner:
                    os.close(fd)
                    fd = os.dup(inner)
            yield fd
        finally:
            os.close(fd)

    def _make(self, fd: int, name: str) -> None:
        """A folder that is the student's before it has its name: a kill leaves none of root's."""
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=fd, follow_symlinks=False)
            return
        aside = io.aside_of(name)
        io.clear(fd, aside)
        os.mkdir(aside, 0o755, dir_fd=fd)
        os.chown(aside, self._owner.st_uid, self._owner.st_gid, dir_fd=fd, follow_symlinks=False)
        try:
            io.name_new(fd, aside, name)
        except FileExistsError:  # somebody was faster
            io.clear(fd, aside)

    @contextmanager
    def _step(self, fd: int, name: str) -> Iterator[int]:
        try:
            inner = os.open(name, _FOLDER, dir_fd=fd)
        except OSError as e:
            if e.errno in (errno.ELOOP, errno.ENOTDIR):
                raise Odd("way") from None
            raise
        try:
            if os.fstat(inner).st_uid != self._owner.st_uid:
                raise Odd("foreign")
            yield inner
        finally:
            os.close(inner)


@contextmanager
def opened(home: Path, path: str = "", *, make: bool = False) -> Iterator[Folder]:
    """The folder `path` of a home; of whoever owns the home is all that is made in it.

    Args:
        make: make it where it is not there.

    Raises:
        FileNotFoundError: there is no such home or folder.
        Odd: a link or a file stands in its place, or in that of a folder above.
        Unavailable: it cannot be made.
    """
    try:
        top = os.open(home, _FOLDER)
    except NotADirectoryError:
        raise Odd("way") from None
    except OSError as e:
        if e.errno == errno.ELOOP:
            raise Odd("way") from None
        raise
    try:
        whole = Folder(top, os.fstat(top))
        if make and path:
            whole.make(path)
        with whole._place(parts_of(path) if path else []) as place:  # noqa: SLF001 - our own
            yield Folder(place, os.fstat(top))
    finally:
        os.close(top)

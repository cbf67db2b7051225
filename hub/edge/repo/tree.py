"""The files of a commit, as `hub.core.releases.Tree` wants them."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO

from hub.core.coursetree import Entry, Limits
from hub.edge.repo.calling import Git, GitError

_HEADER = re.compile(rb"[0-9a-f]{40,64} blob (\d+)\n")
_LINE = re.compile(rb"(\d{6}) (\w+) ([0-9a-f]{40,64}) +(\d+|-)\t(.*)", re.DOTALL)
_LONGEST = 1 << 16  # bytes of one entry


class GitTree:
    """Lists a commit once; each file is read when asked for, and none over the limits is."""

    def __init__(self, git: Git, commit: str, limits: Limits) -> None:
        self._git = git
        self._commit = commit
        self._limits = limits
        self._ids: dict[str, tuple[str, int]] = {}
        self._found: list[Entry] | None = None
        self._reader: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()
        self._lock = threading.Lock()

    def close(self) -> None:
        """End the git that reads."""
        self._stack.close()

    def entries(self) -> list[Entry]:
        """What is in it; one more than the limit of files where there are more.

        A tree can name itself many times over: a push of a kilobyte then has a billion files.
        """
        if self._found is None:
            self._found = list(self._listed())
        return self._found

    def _listed(self) -> Iterator[Entry]:
        with self._git.talk(
            "ls-tree", "-r", "-l", "-z", "--full-tree", self._commit
        ) as process:
            assert process.stdout
            for count, line in enumerate(_split(process.stdout)):
                found = _LINE.fullmatch(line)
                if found is None:
                    raise GitError(f"git ls-tree: {line[:200]!r}")
                mode, _, id, size, raw = found.groups()
                path = raw.decode("utf-8", "surrogateescape")
                self._ids[path] = (id.decode(), int(size) if size != b"-" else 0)
                yield Entry(path, mode.decode(), self._ids[path][1])
                if count >= self._limits.files:
                    return
            if process.wait():
                raise GitError(f"git ls-tree: no tree in {self._commit}")

    def read(self, path: str) -> bytes:
        """A file's bytes.

        Raises:
            GitError: it cannot be read, or is over the limit.
        """
        self.entries()
        id, size = self._ids[path]
        if size > self._limits.file:
            raise GitError(f"{path!r} has {size} bytes")
        with self._lock:
            if self._reader is None:
                self._reader = self._stack.enter_context(self._git.talk("cat-file", "--batch"))
            return _content(self._reader, id, size)


def _content(process: subprocess.Popen[bytes], id: str, size: int) -> bytes:
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(f"{id}\n".encode())
        process.stdin.flush()
        head = process.stdout.readline(_LONGEST)
        found = _HEADER.fullmatch(head)
        if found is None or int(found[1]) != size:
            raise GitError(f"git cat-file {id}: {head[:200]!r}")
        content = process.stdout.read(size + 1)[:size]
    except OSError as e:
        raise GitError(f"git cat-file: {e}") from e
    if len(content) != size:
        raise GitError(f"git cat-file {id}: cut short")
    return content


def _split(pipe: IO[bytes]) -> Iterator[bytes]:
    """What stands between NULs."""
    rest = b""
    while piece := pipe.read(1 << 16):
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole
        if len(rest) > _LONGEST:
            raise GitError("git ls-tree: a path without an end")

"""Putting files into a student's folder so that a kill at any moment loses nothing.

    what is to stand where is written down, with what stood there → the files, one by one → the
    caller keeps in the store that it is done

What is written down stays for an undo. Where nobody came to keep it, whoever comes next puts the
files back as they were, and begins anew.
"""

import json
import logging
import os
import shutil
import stat
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hub.edge.folders import Changed, Folder, Odd, Seen
from hub.errors import NotFound, Unavailable

log = logging.getLogger("madang.courses")
LINK = "link:"
_PLAN, _UNDOING = "plan.json", "undoing"
_OTHER_MOST = 64 << 20  # bytes of a file that is no notebook, as an update reads them
_KEPT = 20  # updates of one student and course that can be undone, the newest
_OWN = 0o700


@dataclass(frozen=True)
class Step:
    """One file: what stands there, and what is to: "" is nothing, "link:…" a link, else a SHA-256.

    `content` is there where `after` is no blob; `old`, where what stands there is none.
    """

    path: str
    seen: Seen
    after: str
    content: bytes | None = field(default=None, repr=False)
    old: bytes | None = field(default=None, repr=False)
    executable: bool = False

    @property
    def before(self) -> str:
        """What stands there."""
        return code_of(self.seen)


class Written(NamedTuple):
    """What was done with a file; `executable` says that of what stood there."""

    before: str
    after: str
    executable: bool = False


def too_old(newest: int) -> int:
    """The newest update that cannot be undone any more."""
    return newest - _KEPT


def code_of(seen: Seen) -> str:
    """What stands there in a word; of what is odd, one that nothing else has."""
    if seen.kind == "file":
        return seen.sha256
    if seen.kind == "link":
        return f"{LINK}{seen.target}"
    return "" if seen.kind == "absent" else f"{seen.kind}:{seen.problem}"


class Journal:
    """What is written down of one student's updates of one course: `<root>/<n>/`."""

    def __init__(self, root: Path, blob: Callable[[str], bytes]) -> None:
        self._root = root
        self._blob = blob

    def has(self, update: int) -> bool:
        """Whether an update was begun under this number."""
        return (self._root / str(update) / _PLAN).exists()

    def read(self, update: int) -> dict[str, Written]:
        """What was done with each path; empty where there is nothing."""
        try:
            found = json.loads((self._root / str(update) / _PLAN).read_bytes())
            return {x[0]: Written(*x[1:]) for x in found["steps"]}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, IndexError) as e:
            raise Unavailable(
                "What was kept of this update cannot be read. Please tell the operator.",
                reason="course", detail=f"{self._root}/{update}: {e}",
            ) from e

    def write(self, update: int, steps: Collection[Step], *, wanted: str = "release") -> None:
        """Write down what is to be done, with what it replaces; it is on the disk afterwards.

        Raises:
            Unavailable: the disk is full.
        """
        folder = self._root / str(update)
        said = {"wanted": wanted, "steps": [
            [x.path, x.before, x.after, bool(x.seen.mode & stat.S_IXUSR)] for x in steps
        ]}
        try:
            folder.mkdir(mode=_OWN, parents=True, exist_ok=True)
            for x in steps:
                if x.old is not None and not (folder / x.before).exists():
                    _put(folder / x.before, x.old)
            _put(folder / _PLAN, json.dumps(said).encode())
            for place in (folder, self._root):
                _sync(place)
        except OSError as e:
            raise Unavailable(
                "The disk is full: your course was left as it is. The operator must free space.",
                reason="disk-full", status=507, detail=f"{folder}: {e}",
            ) from e

    def wanted(self, update: int) -> str:
        """What an update was: a release, or one fresh file."""
        try:
            return str(json.loads((self._root / str(update) / _PLAN).read_bytes())["wanted"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def content(self, update: int, code: str) -> bytes:
        """A file as it stood there before an update.

        Raises:
            NotFound: it is kept no more.
        """
        with suppress(FileNotFoundError):
            return (self._root / str(update) / code).read_bytes()
        try:
            return self._blob(code)
        except Unavailable:
            raise NotFound("This update is kept no more.", detail=f"{self._root}: {code}") from None

    def begin_undo(self, update: int) -> None:
        """From now on the update is to be undone, whoever is killed."""
        _put(self._root / _UNDOING, str(update).encode())
        _sync(self._root)

    def end_undo(self) -> None:
        """It is."""
        (self._root / _UNDOING).unlink(missing_ok=True)

    def to_undo(self) -> int:
        """The update whose undoing was begun and not ended; 0 for none."""
        try:
            return int((self._root / _UNDOING).read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def prune(self, newest: int) -> None:
        """Forget what is too old to be undone."""
        for folder in self._root.glob("*"):
            if folder.name.isdecimal() and int(folder.name) <= too_old(newest):
                shutil.rmtree(folder, ignore_errors=True)

    def forget(self, update: int) -> None:
        """Nothing of this update is kept."""
        shutil.rmtree(self._root / str(update), ignore_errors=True)


def carry_out(
    folder: Folder, steps: Collection[Step], content: Callable[[str], bytes]
) -> dict[str, str]:
    """Make every step's file what it is to be; why not, of those that could not be.

    Args:
        content: the bytes of a blob.

    Raises:
        Unavailable: the disk is full; what was not written yet is as it was.
    """
    failed = {}
    for step in steps:
        try:
            _step(folder, step, content)
        except Changed:
            failed[step.path] = "changing"
        except Odd as e:
            failed[step.path] = e.problem
    folder.sync()
    return failed


def _step(folder: Folder, step: Step, content: Callable[[str], bytes]) -> None:
    if step.before == step.after:
        return
    if not step.after:
        folder.remove(step.path, was=step.seen)
    elif step.after.startswith(LINK):
        folder.link(step.path, step.after.removeprefix(LINK), was=step.seen)
    else:
        made = content(step.after) if step.content is None else step.content
        folder.write(step.path, made, was=step.seen, executable=step.executable)


def undoing(
    folder: Folder, journal: Journal, update: int, most: int
) -> tuple[list[Step], list[Step]]:
    """(what is to be put back, what was changed since the update and stays).

    A step's `after` is what stood there before the update.
    """
    back: list[Step] = []
    kept: list[Step] = []
    for path, (before, after, executable) in journal.read(update).items():
        if before == after:
            continue
        large = most if path.endswith(".ipynb") else max(most, _OTHER_MOST)
        folder.settle(path, _sha(before), _sha(after), large)
        seen = folder.read(path, large, keep=False, guard=True)
        old = None
        if before and not before.startswith(LINK):
            old = journal.content(update, before)
        step = Step(path, seen, before, content=old, executable=executable)
        (back if step.before in (before, after) else kept).append(step)
    return back, kept


def roll_back(folder: Folder, journal: Journal, update: int, most: int) -> None:
    """Put back what an update that was cut short has written, and nobody has touched since.

    Raises:
        Unavailable: the disk is full.
    """
    back, _ = undoing(folder, journal, update, most)
    carry_out(folder, back, lambda code: journal.content(update, code))
    journal.forget(update)


def _sha(code: str) -> str:
    return "" if code.startswith(LINK) else code


def _put(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name[:70]}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

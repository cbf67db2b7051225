"""Looking at what was handed out: two versions side by side, and what an update changed.

Nothing is changed here. A student's folder is read without following a link, and may change while
it is read: what is told is how it was.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from hub.core import course as notebooks
from hub.core.courses import FileFate, Handout, folder_of
from hub.core.names import safe_name
from hub.core.notebook import sayable, text_of
from hub.core.releases import parsed
from hub.edge.folders import Folder, Odd, opened
from hub.errors import BadInput, NotFound
from hub.handout import Handouts
from hub.placing import LINK, Journal

_OTHER_MOST = 1 << 20  # bytes of a file that is shown and no notebook
_LONGEST = 20_000  # characters of a cell that is shown


@dataclass(frozen=True)
class Pair:
    """A cell of the student's and the instructor's new version of it; "" where it was deleted."""

    id: str
    kind: str
    mine: str
    theirs: str


class CourseLooks:
    """What students' folders look like beside what they were given."""

    def __init__(self, handouts: Handouts) -> None:
        self._handouts = handouts
        self._publishing = handouts.publishing
        self._most = handouts.publishing.settings.notebook_mib << 20

    # ---- side by side ----------------------------------------------------------------------

    def conflicts(self, user: str, course: str) -> dict[str, int]:
        """File → in how many places two versions stand side by side in it now."""
        candidates = self._candidates(user, course)
        if not candidates:
            return {}
        with self._folder(user, course) as folder:
            if folder is None:
                return {}
            found = {k: self._count(folder, x) for k, x in candidates.items()}
        return {k: x for k, x in sorted(found.items()) if x}

    def _candidates(self, user: str, course: str) -> dict[str, FileFate]:
        """The last word of each file that may have some; those without were never put beside."""
        student = self._handouts.student(user, course)
        last: dict[str, FileFate] = {}
        for made in sorted(self._handouts.updates(user, course), key=lambda x: x.update):
            if made.undone_at is None:
                last |= {x.path: x for x in made.files if x.cells or x.beside}
        if student is None:
            return {}
        bases = student.bases
        return {
            k: x for k, x in last.items()
            if x.cells or (x.beside and k in bases and bases[k].beside)
        }

    def _count(self, folder: Folder, fate: FileFate) -> int:
        if fate.beside:
            return int(folder.look(fate.beside).kind == "file")
        return len(notebooks.beside_of(self._notebook(folder, fate.path)))

    def pairs(self, user: str, course: str, path: str) -> list[Pair]:
        """The cells of a notebook that stand side by side, in its order.

        Raises:
            BadInput: this is no path inside a folder.
        """
        with self._folder(user, course) as folder:
            found = self._notebook(folder, path) if folder else None
        waiting = dict(notebooks.beside_of(found))
        if not isinstance(found, dict) or not waiting:
            return []
        cells = {
            x["id"]: x for x in found["cells"]
            if isinstance(x, dict) and isinstance(x.get("id"), str)
        }
        order = {id: i for i, id in enumerate(cells)}
        return [
            Pair(id, str(cells[new].get("cell_type")), _source(cells.get(id)), _source(cells[new]))
            for id, new in sorted(waiting.items(), key=lambda x: order.get(x[1], 0))
        ]

    def beside(self, user: str, course: str, path: str) -> str:
        """The file that holds the instructor's version beside a whole file; "" where none does."""
        fate = self._candidates(user, course).get(path)
        if fate is None or not fate.beside:
            return ""
        with self._folder(user, course) as folder:
            return fate.beside if folder and self._count(folder, fate) else ""

    # ---- versions --------------------------------------------------------------------------

    def versions(self, user: str, made: Handout, path: str) -> tuple[bytes, bytes]:
        """A file before an update and after it; b"" where there was none, or it was a link.

        What it was afterwards is not kept where both had changed it: then it is the file as it was
        before the next update, or as it is now.

        Raises:
            NotFound: the update is kept no more.
        """
        journal = self._journal(user, made.course)
        found = journal.read(made.update)
        if not found:
            raise NotFound("This update is kept no more.")
        if path not in found:
            now = self.now(user, made.course, path)
            return now, now
        before, after, *_ = found[path]
        old = b"" if not before or before.startswith(LINK) else journal.content(
            made.update, before)
        return old, self._after(user, made, path, after)

    def _after(self, user: str, made: Handout, path: str, code: str) -> bytes:
        if not code or code.startswith(LINK):
            return b""
        journal = self._journal(user, made.course)
        # a later update that changed it has kept what it replaced
        later = [x.update for x in self._handouts.updates(user, made.course)
                 if x.update > made.update]
        for update in [made.update, *sorted(later)]:
            try:
                return journal.content(update, code)
            except NotFound:
                continue
        return self.now(user, made.course, path)

    def now(self, user: str, course: str, path: str) -> bytes:
        """A file of the student's folder as it is; b"" where it cannot be read.

        Raises:
            BadInput: this is no path inside a folder.
        """
        most = self._most if path.endswith(".ipynb") else _OTHER_MOST
        with self._folder(user, course) as folder:
            return folder.read(path, most).content if folder else b""

    # ---- inside ----------------------------------------------------------------------------

    def _notebook(self, folder: Folder, path: str) -> Any:
        """A notebook of the folder, parsed; None where it is none."""
        try:
            return parsed(folder.read(path, self._most).content)
        except BadInput:
            return None

    @contextmanager
    def _folder(self, user: str, course: str) -> Iterator[Folder | None]:
        """The student's folder of the course; None where there is none, or a link is."""
        with ExitStack() as stack:
            folder = None
            with suppress(FileNotFoundError, NotADirectoryError, Odd):
                folder = stack.enter_context(
                    opened(self._handouts.homes.path(user), str(folder_of(course)))
                )
            yield folder

    def _journal(self, user: str, course: str) -> Journal:
        students = self._publishing.root / course / "students"
        return Journal(students / safe_name(user) / "updates", self._publishing.blob)


def _source(cell: Any) -> str:
    found = text_of(cell.get("source")) if isinstance(cell, dict) else ""
    return sayable(found if len(found) <= _LONGEST else f"{found[:_LONGEST]}…")

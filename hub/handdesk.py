"""One student's course while nobody else works on it: the lock, the folder, what is known."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hub.core import handingout, roster
from hub.core.courses import (
    BaseFact,
    Course,
    Fate,
    FileFate,
    Handout,
    Student,
    folder_of,
)
from hub.core.names import safe_name
from hub.edge.folders import Folder, Odd, beside, opened
from hub.edge.locks import held
from hub.errors import NotFound, Refusal, Text
from hub.placing import Journal, Step, carry_out, roll_back, undoing
from hub.publishing import Publishing

log = logging.getLogger("madang.courses")
FRESH = "fresh"  # what is said in a journal of an update of one file
_WAIT = 30.0  # seconds for an update of the same student's that is under way
_OLD = ("old", *(f"old-{i}" for i in range(2, 10)))
_BACK = Text("It is as it was before the update.")
_BUSY = Text("This course is being brought up to date already. Try again in a minute.")
_SINCE = Text("You have changed it since: it stays.")
_OLD_BESIDE = Text(
    "You have changed it since: it stays, and what it was before lies beside it."
)


@dataclass(frozen=True)
class Desk:
    """A student's course. What a kill has left is cleared away when it is opened."""

    publishing: Publishing
    course: Course
    student: Student
    folder: Folder
    journal: Journal
    most: int

    @property
    def number(self) -> int:
        """Of the next update."""
        return self.student.update + 1

    def settled(self, now: datetime) -> "Desk":
        """Without what was cut short: an update is as if it had not begun, an undo is ended."""
        if self.journal.has(self.number):
            try:
                roll_back(self.folder, self.journal, self.number, self.most)
            except NotFound as e:  # what it replaced is gone: the files stay, and are merged again
                log.error("an update of %s stays half done: %s",  # noqa: TRY400 - its text says it
                          self.student.user, e.detail)
                self.journal.forget(self.number)
        if update := self.journal.to_undo():
            self.undo(update, now)
            found = self.publishing.store.student(self.student.user, self.student.course)
            return replace(self, student=found or self.student)
        return self

    def undo(self, update: int, now: datetime) -> Handout:
        """Put back what an update changed; once more after a kill: what is back stays."""
        store, user = self.publishing.store, self.student.user
        found = store.handout(user, self.course.name, update)
        if found is None:
            raise NotFound("There was no update {update}.", update=update)
        made, before = found
        if made.undone_at is None:
            if before is None:
                raise NotFound("This update is kept no more.")
            # first: what cannot be put back is not begun, or it would be tried for ever
            back, kept = undoing(self.folder, self.journal, update, self.most)
            self.journal.begin_undo(update)
            beside = {x.path: self._beside(x) for x in kept if x.content is not None}
            old = [x for x in beside.values() if x is not None]
            failed = carry_out(self.folder, [*back, *old], self.publishing.blob)
            names = {k: x.path for k, x in beside.items() if x and x.path not in failed}
            made = replace(made, undone_at=now, files=_told(back, names, kept, failed))
            stay = {x.path for x in kept} | failed.keys()
            store.undone(self._stood(made, before, stay), update, now)
        self.journal.end_undo()
        return made

    def _beside(self, step: Step) -> Step | None:
        """What an undo cannot put in place goes beside it, under a name that nothing else has.

        After a kill it lies there already.
        """
        for mark in _OLD:
            path = beside(step.path, mark)
            seen = self.folder.read(path, self.most, keep=False)
            if seen.kind == "absent" or (step.after and seen.sha256 == step.after):
                return replace(step, path=path, seen=seen)
        return None

    def _stood(self, made: Handout, before: Student, stay: set[str]) -> Student:
        """Where the student stands after an undo."""
        later = [x for x in self.publishing.store.handouts(made.user, made.course)
                 if x.update > made.update and not x.undone_at]
        stay = stay | {path for x in later for path in self.journal.read(x.update)}
        if self.journal.wanted(made.update) == FRESH:
            # only what it touched: other files may have come to another release since
            own = self.journal.read(made.update).keys() - stay
            left = {k: x for k, x in self.student.bases.items() if k not in own}
            put = {k: before.bases[k] for k in own if k in before.bases}
            return replace(self.student, bases={**left, **put})
        bases: dict[str, BaseFact] = {k: x for k, x in before.bases.items() if k not in stay}
        bases |= {k: x for k, x in self.student.bases.items() if k in stay}
        return replace(self.student, release=before.release, bases=bases, held_at=made.release)


class Desks:
    """Opens them."""

    def __init__(self, publishing: Publishing) -> None:
        self._publishing = publishing
        self._broker = publishing.broker

    @contextmanager
    def open(self, user: str, course: str, now: datetime) -> Iterator[Desk]:
        """One at a time for a student's course, over all threads and processes.

        Raises:
            NotFound: they have no such course.
            Refusal: something stands in the place of its folder.
            Unavailable: the disk is full, or another update does not end.
        """
        found = self._course(user, course)
        with ExitStack() as stack:
            stack.enter_context(_alone(self._folder(user, course)))
            try:
                home = self._broker.edges.homes.ensure(user)
                folder = stack.enter_context(opened(home, str(folder_of(course)), make=True))
            except Odd as e:
                raise stuck(f"~/{folder_of(course)}", e.problem) from None
            student = self._publishing.store.student(user, course)
            desk = Desk(
                self._publishing, found, student or Student(course, user, 0, 0), folder,
                self.journal(user, course), self._broker.settings.notebook_mib << 20,
            )
            yield desk.settled(now)

    def journal(self, user: str, course: str) -> Journal:
        """What is written down of somebody's updates."""
        return Journal(self._folder(user, course) / "updates", self._publishing.blob)

    def _course(self, user: str, name: str) -> Course:
        found = self._publishing.course(name)
        if found.group not in roster.groups_of(self._broker.members(), user):
            raise NotFound("There is no course {name} that you may see.", name=repr(name[:60]))
        return found

    def _folder(self, user: str, course: str) -> Path:
        return self._publishing.root / course / "students" / safe_name(user)


def stuck(path: str, problem: str) -> Refusal:
    """A file of the student's that cannot be changed just now."""
    return Refusal(
        "{path} is left as it is: {why} Mend that, then try again.", reason="course-file",
        status=409, path=path, why=handingout.why_odd(problem),
    )


def _told(
    back: list[Step], beside: dict[str, str], kept: list[Step], failed: dict[str, str]
) -> tuple[FileFate, ...]:
    """What an undo came to, for the student; `beside`: file → where what it was lies now."""
    return (
        *(FileFate(x.path, _fate(x), note=_BACK) for x in back if x.path not in failed),
        *(FileFate(x.path, Fate.ODD, note=handingout.why_odd(failed[x.path])) for x in back
          if x.path in failed),
        *(FileFate(x.path, Fate.KEPT, beside=beside[x.path], note=_OLD_BESIDE)
          if x.path in beside else FileFate(x.path, Fate.KEPT, note=_SINCE) for x in kept),
    )


def _fate(step: Step) -> Fate:
    return Fate.NEW if not step.before else Fate.UPDATED if step.after else Fate.REMOVED


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with held(folder / "lock", _WAIT, _BUSY):
        yield

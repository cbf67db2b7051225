"""Handing courses out: a release comes into a student's folder, and their work stays."""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime

from hub import metrics
from hub.core import handingout, roster
from hub.core.courses import Fate, FileFate, Handout, Release, Student
from hub.core.handingout import Ask
from hub.edge.aside import Aside
from hub.edge.folders import Changed, Odd
from hub.errors import BadInput, NotFound, Refusal
from hub.handdesk import FRESH, Desk, Desks, stuck
from hub.lagging import Lagging
from hub.merging import Merging, NotMerged
from hub.opened import Opened
from hub.overlooking import Overlooking, Row
from hub.placing import too_old
from hub.publishing import Publishing
from hub.recent import Recent
from hub.updating import BACKUPS, Place, Update, keep_copy

log = logging.getLogger("madang.courses")
_RELEASE = "release"


def _always() -> bool:
    return True


class Handouts:
    """Handouts of one installation. Any number of threads and processes."""

    def __init__(
        self, publishing: Publishing, aside: Aside | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.publishing = publishing
        self.broker = publishing.broker
        self.store = publishing.store
        self.homes = publishing.broker.edges.homes
        self.clock = clock
        self._blob = Recent(publishing.blob)
        self._merging = Merging(self._blob, aside)
        self._desks = Desks(publishing)
        self._overlooking = Overlooking(publishing)
        self.lagging = Lagging(self.store, self._desks.journal)
        self.opened = Opened(clock)

    def close(self) -> None:
        """End what works aside."""
        self._merging.close()

    # ---- handing out ---------------------------------------------------------------------------

    def hand_out(
        self, user: str, course: str, *, open: Collection[str] = (),  # noqa: A002 - as Lab says
        anyway: bool = False, may: Callable[[], bool] = _always,
    ) -> Handout | None:
        """Give somebody the newest release; None where there is nothing new.

        Where all that is new is open, the handout has the number of the one before and is not kept.

        Args:
            open: files that are open in Lab, beside those that Lab has told of: they wait.
            anyway: they have asked for it: also what they have undone, and what could not be
                handed out before.
            may: whether it may still be written; by now somebody may have it open.

        Raises:
            NotFound: they have no such course.
            Refusal: something stands in the place of its folder.
            Unavailable: the disk is full, or another update does not end.
        """
        with self._desks.open(user, course, self.clock()) as desk:
            release = self.store.newest(course)
            if release is None or (release.number <= desk.student.held_at and not anyway):
                return None
            left = self.opened.of(user, course).union(open)
            ask = Ask(course, release.number, left, anyway)
            return self._give(desk, ask, release, may)

    def all_for(self, user: str, may: Callable[[], bool] = _always) -> list[Handout]:
        """Give somebody what is new in all their courses; what cannot be is in the log.

        Where nothing is new, no file is looked at.
        """
        made: list[Handout] = []
        try:
            due = self.due(user)
        except Exception:
            log.exception("what is new in the courses of %s cannot be told", user)
            return made
        for course in due:
            try:
                found = self.hand_out(user, course, may=may)
                made += [found] if found else []
            except Refusal as e:
                metrics.refused(e.reason)
                log.warning("%s is not given what is new in %s: %s", user, course, e.detail)
            except Exception:
                log.exception("%s is not given what is new in %s", user, course)
        return made

    def due(self, user: str) -> list[str]:
        """The courses in which a start of theirs has something to do, by name."""
        groups = roster.groups_of(self.broker.members(), user)
        if not groups:
            return []
        now, (newest, stood) = self.clock(), self.store.standing(groups, user)
        return [
            x.course for x in newest
            if self.lagging.is_behind(x, stood.get((user, x.course)), now)
        ]

    def _give(
        self, desk: Desk, ask: Ask, release: Release, may: Callable[[], bool]
    ) -> Handout | None:
        begun, student = time.monotonic(), desk.student
        if release.number < student.release:  # what they have was withdrawn: it stays
            release = self.publishing.release(ask.course, student.release)
            ask = replace(ask, release=release.number)
        new = handingout.handed(release.visible(self.clock()))
        if not ask.again and handingout.is_current(student, release.number, new):
            return None
        if ask.again and _nothing_left(desk):
            # they have thrown it all away and ask for it: from the beginning
            student = replace(student, bases={})
        update = self._update(desk, student, ask)
        update.plan(new)
        if not may():
            return None
        made = self._finish(desk, update, _RELEASE)
        metrics.COURSE_HANDOUT_SECONDS.observe(time.monotonic() - begun)
        return made

    def _update(self, desk: Desk, student: Student, ask: Ask) -> Update:
        place = Place(desk.folder, self._merging, self._blob, desk.most)
        return Update(place, student, ask)

    def _finish(self, desk: Desk, update: Update, wanted: str) -> Handout | None:
        """Do what is planned, and keep that it is done."""
        before, ask = desk.student, update.ask
        made = Handout(
            ask.course, before.user, ask.release, self.clock(), before.update, update.told,
        )
        after = replace(
            before, release=ask.release, bases=update.bases,
            held_at=before.held_at if wanted == FRESH else 0,
        )
        if update.waits and after == before:
            return made
        update.carry_out(desk.journal, desk.number, wanted)
        after = replace(after, bases=update.bases)
        if not update.told:
            if after != before:
                self.store.put_student(after)
            desk.journal.forget(desk.number)
            return None
        made = replace(made, update=desk.number, files=update.told)
        self.store.put_handout(
            replace(after, update=desk.number), made, before, too_old(desk.number)
        )
        desk.journal.prune(desk.number)
        _count(made)
        return made

    # ---- looking -------------------------------------------------------------------------------

    def overview(self, course: str) -> list[Row]:
        """Where each student of a course stands, by name; for its instructors.

        Raises:
            NotFound: there is no such course.
        """
        return self._overlooking.overview(self.publishing.course(course), self.clock())

    def updates(self, user: str, course: str) -> list[Handout]:
        """What somebody was given of a course, newest first."""
        return self.store.handouts(user, course)

    def student(self, user: str, course: str) -> Student | None:
        """Where somebody stands; None where nothing was handed out yet."""
        return self.store.student(user, course)

    # ---- what a student asks for ---------------------------------------------------------------

    def undo(self, user: str, course: str, update: int) -> Handout:
        """Put back what an update changed; what was changed since stays, with the old one beside.

        The release is not handed out again before somebody asks for it, or a newer one is there.
        The files of what is returned are what the undo did.

        Raises:
            NotFound: there was no such update, or it is kept no more.
            BadInput: it was undone already, or a newer one comes first (409).
            Refusal: a file that it changed is open in Lab.
        """
        with self._desks.open(user, course, self.clock()) as desk:
            self._check_undo(desk, update)
            self.opened.check(user, course, desk.journal.read(update))
            return desk.undo(update, self.clock())

    def _check_undo(self, desk: Desk, update: int) -> None:
        made = self.store.handouts(desk.student.user, desk.course.name)
        found = next((x for x in made if x.update == update), None)
        if found is None:
            raise NotFound("There was no update {update}.", update=update)
        if found.undone_at is not None:
            raise BadInput("The update {update} is undone already.", reason="course-undo",
                           status=409, update=update)
        later = [
            x.update for x in made
            if x.update > update and not x.undone_at and desk.journal.wanted(x.update) != FRESH
        ]
        if later and desk.journal.wanted(update) != FRESH:
            raise BadInput("Undo the update {update} first: it is newer.", reason="course-undo",
                           status=409, update=max(later))
        if not desk.journal.has(update) and found.files:
            raise NotFound("This update is kept no more.")

    def fresh(self, user: str, course: str, path: str) -> Handout | None:
        """One file as the newest release has it; the student's goes to `.course-backup`.

        None where it is so already.

        Raises:
            NotFound: the release has no such file.
            Refusal: what stands there cannot be kept, or is open in Lab.
        """
        with self._desks.open(user, course, self.clock()) as desk:
            self.opened.check(user, course, [path])
            release = self.store.newest(course)
            new = handingout.handed(release.visible(self.clock())) if release else {}
            if release is None or path not in new:
                raise NotFound("There is no file {path} in this course.", path=path[:200])
            # the release that they stand at stays: its other files may not have come yet
            update = self._update(desk, desk.student, Ask(course, desk.student.release))
            update.fresh(new[path], release.number)
            return self._finish(desk, update, FRESH)

    def take(self, user: str, course: str, path: str, cell: str) -> FileFate:
        """The instructor's version of a cell in place of the student's, which is backed up.

        Raises:
            NotFound: there is no such notebook.
            BadInput: no new version of this cell stands there.
            Refusal: the notebook cannot be changed just now.
            Unavailable: it is large, and those of others come first.
        """
        return self._choose(user, course, path, "take", cell)

    def keep(self, user: str, course: str, path: str, cell: str) -> FileFate:
        """The student's version of a cell stays; the other one goes. Raises as `take`."""
        return self._choose(user, course, path, "keep", cell)

    def _choose(self, user: str, course: str, path: str, verb: str, cell: str) -> FileFate:
        with self._desks.open(user, course, self.clock()) as desk:
            self.opened.check(user, course, [path])
            size = desk.folder.look(path).size
            with self._merging.room(size) as most:
                seen = desk.folder.read(path, min(most, desk.most), guard=True)
                if seen.kind == "absent":
                    raise NotFound("There is no file {path} in this course.", path=path[:200])
                if seen.kind != "file":
                    raise stuck(path, seen.problem or seen.kind)
                try:
                    made, left = self._merging.chosen(verb, cell, seen.content, user)
                    keep_copy(
                        desk.folder, f"{BACKUPS}/{desk.student.release}", path, seen.content)
                    desk.folder.write(path, made, was=seen)
                except Changed:
                    raise stuck(path, "changing") from None
                except (NotMerged, Odd) as e:
                    raise stuck(path, e.problem) from None
            desk.folder.sync()
        return FileFate(path, Fate.BESIDE if left else Fate.MERGED)


def _nothing_left(desk: Desk) -> bool:
    """Whether nothing is there of what was handed out: feedback and own files may be."""
    return not any(desk.folder.look(x).kind != "absent" for x in desk.student.bases)


def _count(made: Handout) -> None:
    for one in made.files:
        metrics.COURSE_HANDOUTS.labels(str(one.fate)).inc()
        cells = sum(x.fate == "beside" for x in one.cells)
        if one.fate == Fate.BESIDE:
            metrics.COURSE_CONFLICTS.inc(cells or 1)

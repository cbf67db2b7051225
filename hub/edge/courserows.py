"""What the store keeps of courses: releases, what students were given, what they handed in.

Each method is one transaction: a snapshot, or a write that is there as a whole or not at all. The
state of the line is not touched. Every method raises `Unavailable` as those of the store do.
"""

from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hub.core.courses import (
    Collection,
    Course,
    Handout,
    Release,
    Student,
    Submission,
    data_path,
)
from hub.core.handingout import digest
from hub.edge import courseforms as forms
from hub.edge.coursetables import collections, courses, handouts, releases, students, submissions
from hub.edge.store import Store
from hub.errors import BadInput


@dataclass(frozen=True)
class Newest:
    """A course's newest release that is not withdrawn, in short; `number` 0 where all were."""

    course: str
    group: str
    number: int = 0
    at: datetime | None = None


@dataclass(frozen=True)
class Stood:
    """Where somebody stands, in short; `has` is the same where what they have is."""

    user: str
    course: str
    release: int
    update: int
    held_at: int
    has: str


class CourseStore:
    """Courses in the store's database. Any number of threads and processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # ---- courses and releases ------------------------------------------------------------------

    def courses(self, groups: Some[str] | None = None) -> list[Course]:
        """Courses by name; `groups`: those of these groups."""
        wanted = sa.select(courses)
        wanted = wanted if groups is None else wanted.where(courses.c.group.in_(list(groups)))
        return sorted(map(forms.course_of, self._all(wanted)), key=lambda x: x.name)

    def course(self, name: str) -> Course | None:
        """A course by its name."""
        found = self._all(sa.select(courses).where(courses.c.name == name))
        return forms.course_of(found[0]) if found else None

    def releases(self, course: str) -> list[Release]:
        """All releases of a course, newest first, withdrawn ones too."""
        at = releases.c
        wanted = sa.select(releases).where(at.course == course).order_by(at.number.desc())
        return [forms.release_of(x) for x in self._all(wanted)]

    def release(self, course: str, number: int) -> Release | None:
        """One release."""
        at = releases.c
        found = self._all(sa.select(releases).where(at.course == course, at.number == number))
        return forms.release_of(found[0]) if found else None

    def newest(self, course: str) -> Release | None:
        """The newest release that is not withdrawn."""
        at = releases.c
        found = self._all(
            sa.select(releases).where(at.course == course, at.withdrawn_at.is_(None))
            .order_by(at.number.desc()).limit(1)
        )
        return forms.release_of(found[0]) if found else None

    def add_release(self, course: Course, release: Release) -> Release:
        """The release with its number, which is the next one; and the course as it says now.

        Who made the course, and when, stays as it was. `release.number` 0 takes any number.

        Raises:
            BadInput: another number than the next (409, somebody else was faster).
        """
        def add(c: sa.Connection) -> Release:
            last = c.scalar(
                sa.select(sa.func.max(releases.c.number)).where(releases.c.course == course.name)
            )
            made = replace(release, course=course.name, number=(last or 0) + 1)
            if release.number not in (0, made.number):
                raise BadInput(
                    "Somebody else has published this course just now. Look at their release, then "
                    "publish again.", reason="published", status=409,
                )
            c.execute(sa.insert(releases), forms.release_row(made))
            _put_course(c, course)
            return made

        return self._store.change_beside(add)

    def withdraw(self, course: str, number: int, by: str, at: datetime) -> Release | None:
        """The release, withdrawn; as it was where it had been before. None where there is none."""
        mine = (releases.c.course == course) & (releases.c.number == number)
        self._store.change_beside(lambda c: c.execute(
            sa.update(releases).where(mine, releases.c.withdrawn_at.is_(None))
            .values(withdrawn_at=at, withdrawn_by=by)
        ))
        return self.release(course, number)

    def withdrawn(self, course: str) -> list[int]:
        """The numbers of a course's withdrawn releases."""
        at = releases.c
        wanted = sa.select(at.number).where(at.course == course, at.withdrawn_at.is_not(None))
        with self._store.beside() as c:
            return sorted(c.scalars(wanted))

    # ---- students ------------------------------------------------------------------------------

    def linked(self, course: str, number: int) -> list[str]:
        """Who was given links to the read-only data of a release, and was given no others since."""
        at, link = students.c, f'"link:{data_path(course, number)}/'
        # told by the text: a student has thousands of files, and this is asked again and again
        wanted = sa.select(at.user).where(
            at.course == course, sa.type_coerce(at.bases, sa.Text).contains(link, autoescape=True)
        )
        with self._store.beside() as c:
            return sorted(c.scalars(wanted))

    def standing(
        self, groups: Some[str] | None = None, user: str | None = None
    ) -> tuple[list[Newest], dict[tuple[str, str], Stood]]:
        """(courses by name, where each (user, course) stands); no file of any is read.

        Args:
            groups: courses of these groups only.
            user: only where this one stands.
        """
        at, wanted, stood = courses.c, _TOPS, sa.select(*(students.c[x.name] for x in _STOOD))
        wanted = wanted if groups is None else wanted.where(at.group.in_(list(groups)))
        stood = stood if user is None else stood.where(students.c.user == user)
        with self._store.beside() as c:
            tops = [Newest(x[0], x[1], x[2] or 0, x[3]) for x in c.execute(wanted)]
            found = [Stood(*x) for x in c.execute(stood)]
        return tops, {(x.user, x.course): x for x in found}

    def whole(self, stood: Stood) -> Student | None:
        """The same person with all their files; None where they stand elsewhere by now."""
        at = students.c
        mine = (at.user == stood.user) & (at.course == stood.course)
        found = self._all(sa.select(students).where(mine))
        same = found and all(found[0][x.name] == getattr(stood, x.name) for x in _STOOD)
        return forms.student_of(found[0]) if same else None

    def student(self, user: str, course: str) -> Student | None:
        """Where somebody stands; None where nothing was handed out yet."""
        at = students.c
        found = self._all(sa.select(students).where(at.user == user, at.course == course))
        return forms.student_of(found[0]) if found else None

    def students(self, course: str) -> list[Student]:
        """Everybody to whom something of the course was handed out, by name."""
        wanted = sa.select(students).where(students.c.course == course)
        return sorted(map(forms.student_of, self._all(wanted)), key=lambda x: x.user)

    def put_student(self, student: Student) -> None:
        """Where somebody stands now."""
        self._store.change_beside(lambda c: _put_student(c, student))

    def put_handout(
        self, student: Student, made: Handout, before: Student, forget: int = 0
    ) -> None:
        """Where somebody stands now, the handout that led there, and where they stood before it.

        A handout that was cut short is written again under the same number.

        Args:
            forget: where they stood before this update and older ones is kept no more.
        """
        at = handouts.c
        old = sa.and_(
            at.user == made.user, at.course == made.course, at.update <= forget, at.before != {},
        )

        def put(c: sa.Connection) -> None:
            _put_student(c, student)
            c.execute(sa.delete(handouts).where(_handout(made.user, made.course, made.update)))
            c.execute(sa.insert(handouts), forms.handout_row(made, before))
            c.execute(sa.update(handouts).where(old).values(before={}))

        self._store.change_beside(put)

    def undone(self, student: Student, update: int, at: datetime) -> None:
        """Where somebody stands after an update was undone; the update is marked so."""
        def mark(c: sa.Connection) -> None:
            _put_student(c, student)
            mine = _handout(student.user, student.course, update)
            c.execute(sa.update(handouts).where(mine).values(undone_at=at))

        self._store.change_beside(mark)

    def handouts(self, user: str, course: str, *, limit: int = 100) -> list[Handout]:
        """What somebody was given of a course, newest first."""
        at = handouts.c
        wanted = sa.select(*_LISTED).where(at.user == user, at.course == course)
        found = self._all(wanted.order_by(at.update.desc()).limit(limit))
        return [forms.handout_of(x) for x in found]

    def last_times(self, course: str) -> dict[str, datetime]:
        """When each student was given something last that was not undone, by name."""
        at = handouts.c
        wanted = sa.select(at.user, sa.func.max(at.at)).where(
            at.course == course, at.undone_at.is_(None),
        ).group_by(at.user)
        with self._store.beside() as c:
            return {x[0]: x[1] for x in c.execute(wanted)}

    def handout(
        self, user: str, course: str, update: int
    ) -> tuple[Handout, Student | None] | None:
        """A handout, and where the student stood before it; None where that is kept no more."""
        found = self._all(sa.select(handouts).where(_handout(user, course, update)))
        return (forms.handout_of(found[0]), forms.before_of(found[0])) if found else None

    # ---- handing in ----------------------------------------------------------------------------

    def put_collection(self, made: Collection) -> None:
        """A collection, new or changed.

        Raises:
            BadInput: the course has another one of this name (409).
        """
        at = collections.c

        def put(c: sa.Connection) -> None:
            wanted = sa.select(at.id).where(at.course == made.course, at.name == made.name)
            if c.scalar(wanted) not in (None, made.id):
                raise BadInput(
                    "The course has a collection with the name {name} already.",
                    reason="collection", status=409, name=made.name,
                )
            c.execute(sa.delete(collections).where(at.id == made.id))
            c.execute(sa.insert(collections), forms.collection_row(made))

        self._store.change_beside(put)

    def drop_collection(self, id: str) -> None:
        """Forget a collection and its submissions."""
        def drop(c: sa.Connection) -> None:
            c.execute(sa.delete(collections).where(collections.c.id == id))
            c.execute(sa.delete(submissions).where(submissions.c.collection == id))

        self._store.change_beside(drop)

    def collections(self, course: str) -> list[Collection]:
        """The collections of a course, by deadline."""
        found = self._all(sa.select(collections).where(collections.c.course == course))
        return sorted(map(forms.collection_of, found), key=lambda x: (x.due, x.name))

    def collection(self, course: str, name: str) -> Collection | None:
        """A collection by its name."""
        at = collections.c
        found = self._all(sa.select(collections).where(at.course == course, at.name == name))
        return forms.collection_of(found[0]) if found else None

    def collections_due(self, now: datetime) -> list[Collection]:
        """Collections whose deadline has come and which were not taken yet, earliest first."""
        at = collections.c
        found = self._all(sa.select(collections).where(at.taken_at.is_(None), at.due <= now))
        return sorted(map(forms.collection_of, found), key=lambda x: (x.due, x.id))

    def put_submissions(self, made: Sequence[Submission]) -> None:
        """What was taken, each in place of what was taken of the same person before."""
        at = submissions.c

        def put(c: sa.Connection) -> None:
            for x in made:
                mine = (at.collection == x.collection) & (at.user == x.user)
                c.execute(sa.delete(submissions).where(mine))
            if made:
                c.execute(sa.insert(submissions), [forms.submission_row(x) for x in made])

        self._store.change_beside(put)

    def submissions(self, collection: str, user: str | None = None) -> list[Submission]:
        """What was taken, by name; of one person alone where `user` says whom."""
        wanted = sa.select(submissions).where(submissions.c.collection == collection)
        if user is not None:
            wanted = wanted.where(submissions.c.user == user)
        return sorted(map(forms.submission_of, self._all(wanted)), key=lambda x: x.user)

    # ---- reading -------------------------------------------------------------------------------

    def _all(self, wanted: sa.Select[Any]) -> Sequence[Mapping[str, Any]]:
        with self._store.beside() as c:
            return c.execute(wanted).mappings().all()  # type: ignore[return-value]


_STOOD = fields(Stood)
_LISTED = [x for x in handouts.c if x is not handouts.c.before]  # a copy of all that they had
_OTHER = releases.alias("other")
_NEWEST = sa.and_(
    releases.c.course == courses.c.name,
    releases.c.number == sa.select(sa.func.max(_OTHER.c.number)).where(
        _OTHER.c.course == courses.c.name, _OTHER.c.withdrawn_at.is_(None)
    ).scalar_subquery(),
)
_TOPS = sa.select(courses.c.name, courses.c.group, releases.c.number, releases.c.at).select_from(
    courses.outerjoin(releases, _NEWEST)
).order_by(courses.c.name)


def _handout(user: str, course: str, update: int) -> sa.ColumnElement[bool]:
    at = handouts.c
    return sa.and_(at.user == user, at.course == course, at.update == update)


def _put_course(c: sa.Connection, course: Course) -> None:
    at = courses.c
    row = forms.course_row(course)
    if c.scalar(sa.select(at.name).where(at.name == course.name)) is None:
        c.execute(sa.insert(courses), row)
        return
    kept = {k: x for k, x in row.items() if k not in {"name", "made_at", "made_by"}}
    c.execute(sa.update(courses).where(at.name == course.name).values(**kept))


def _put_student(c: sa.Connection, student: Student) -> None:
    at = students.c
    c.execute(sa.delete(students).where(at.user == student.user, at.course == student.course))
    has = digest(student)
    c.execute(sa.insert(students), {**forms.student_row(student), "has": has})

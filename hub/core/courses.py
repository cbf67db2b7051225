"""Courses: what an instructor pushes, what a student is given of it, and what is handed in.

A course has releases 1, 2, 3 …; a release never changes. A handout is one release merged into one
student's folder; a collection is what lay in the students' folders at a deadline.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath

from hub.errors import BadInput, Text

COURSE_FILE = "course.toml"  # at the top of a course's tree
FOLDER = "courses"  # in a student's home; a course's folder is FOLDER/<course>
DATA_ROOT = "/srv/courses"  # where a container sees the read-only data of all courses
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)


class Fate(StrEnum):
    """What a handout did with a file."""

    NEW = "new"
    UPDATED = "updated"
    KEPT = "kept"  # the student's, nothing new from the instructor
    MERGED = "merged"  # both had changed, and both are in it
    BESIDE = "beside"  # the student's and the instructor's side by side: a cell, or the whole file
    REMOVED = "removed"
    REMOVED_KEPT = "removed-kept"  # gone upstream, left because the student had changed it
    ODD = "odd"  # broken, empty, huge or a link: left alone, the new one beside it
    WAITING = "waiting"  # open in Lab: it comes when it is closed


class CellChange(StrEnum):
    """What a merge did with a cell."""

    TAKEN = "taken"
    KEPT = "kept"
    BESIDE = "beside"
    LINE_MERGED = "line-merged"
    ADDED = "added"
    REMOVED = "removed"
    REMOVED_KEPT = "removed-kept"
    MOVED = "moved"
    DELETED_SHOWN = "deleted-shown"  # the student had deleted it, and it has changed since


@dataclass(frozen=True)
class Course:
    """A course as its newest release's course.toml says; `group` are its members.

    `zone` is the one of its local times, `profile` and `image` those in which it is checked.
    """

    name: str
    title: str
    group: str
    zone: str
    made_at: datetime
    made_by: str
    profile: str = ""
    image: str = ""


@dataclass(frozen=True)
class FileFact:
    """A file of a release; its bytes are the blob `sha256`. `path` is relative, with `/`.

    `data`: read-only, mounted and not copied. `visible_from`: members do not see it before.
    """

    path: str
    sha256: str
    size: int
    notebook: bool = False
    data: bool = False
    visible_from: datetime | None = None
    executable: bool = False

    def visible(self, now: datetime) -> bool:
        """Whether members may see it."""
        return self.visible_from is None or self.visible_from <= now


@dataclass(frozen=True)
class Release:
    """One version of a course. `commit` is the one in the instructors' repository."""

    course: str
    number: int
    commit: str
    by: str
    at: datetime
    notes: str
    files: tuple[FileFact, ...]
    withdrawn_at: datetime | None = None
    withdrawn_by: str = ""

    def visible(self, now: datetime) -> tuple[FileFact, ...]:
        """What members may see of it now."""
        return tuple(x for x in self.files if x.visible(now))


@dataclass(frozen=True)
class CellFate:
    """What became of one cell. `fate` is one of CellChange; `why` is for people."""

    id: str
    fate: str
    why: str | Text = ""
    source_before: str = ""
    source_after: str = ""


@dataclass(frozen=True)
class FileFate:
    """What became of one file. `fate` is one of Fate; `beside`: where the new one lies then."""

    path: str
    fate: str
    cells: tuple[CellFate, ...] = ()
    beside: str = ""
    note: str | Text = ""


@dataclass(frozen=True)
class Handout:
    """One release given to one student. `update` counts from 1 per student and course."""

    course: str
    user: str
    release: int
    at: datetime
    update: int
    files: tuple[FileFate, ...]
    undone_at: datetime | None = None


@dataclass(frozen=True)
class BaseFact:
    """What a student was given last of a file: the blob, and what was written then.

    `written` is a blob too, or "merged:SHA-256", or "link:TARGET" of read-only data. `beside`: the
    blob that was laid beside last, because the file itself could not take it.
    """

    path: str
    sha256: str
    written: str
    beside: str = ""


@dataclass(frozen=True)
class Student:
    """Where a student stands in a course; kept by the hub, never read from the student's folder.

    `held_at`: a release that the student has undone, and that is not handed out at a start again.
    """

    course: str
    user: str
    release: int
    update: int
    held_at: int = 0
    bases: Mapping[str, BaseFact] = field(default_factory=dict)


@dataclass(frozen=True)
class Collection:
    """What is taken of each student's folder at a deadline: `path` in the course's folder."""

    id: str
    course: str
    name: str
    path: str
    due: datetime
    made_by: str
    made_at: datetime
    taken_at: datetime | None = None
    feedback_at: datetime | None = None


@dataclass(frozen=True)
class Submission:
    """What was taken of one student; `problem` where that went wrong, `size` in bytes.

    `returned_at`: when feedback was last laid into their folder.
    """

    collection: str
    user: str
    files: int
    size: int
    taken_at: datetime
    problem: str = ""
    returned_at: datetime | None = None


@dataclass(frozen=True)
class Problem:
    """What a check found: `fatal` refuses the push, else it is a note. `line` 0: the whole file."""

    path: str
    line: int
    message: Text
    fatal: bool = True


def is_course_name(name: str) -> bool:
    """Whether a course may be called so; such a name is safe in a path, a URL and a label."""
    return _NAME.fullmatch(name) is not None


def check_course_name(name: str) -> str:
    """The name.

    Raises:
        BadInput: reason "course-name".
    """
    if not is_course_name(name):
        raise BadInput(
            "A course's name has 1 to 40 lower-case letters, digits and dashes, and begins with a "
            "letter or digit: {name}.", reason="course-name", name=repr(name[:60]),
        )
    return name


def folder_of(course: str) -> PurePosixPath:
    """The course's folder in a student's home."""
    return PurePosixPath(FOLDER) / course


def data_path(course: str, release: int, path: str = "") -> PurePosixPath:
    """Where a container finds a release's read-only data."""
    return PurePosixPath(DATA_ROOT) / course / str(release) / path


@dataclass(frozen=True)
class Author:
    """Who publishes: a name, the groups in which they are an instructor, or the operator."""

    name: str
    instructs: frozenset[str] = frozenset()
    operator: bool = False

    def leads(self, group: str) -> bool:
        """Whether they may publish for this group."""
        return self.operator or group in self.instructs

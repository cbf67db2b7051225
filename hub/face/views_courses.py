"""What the service is asked and answers about courses: shapes of the JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from hub.core.courses import CellFate, FileFate, Handout, Release
from hub.errors import Text
from hub.face import coursed, words
from hub.face.api import Plain

Role = Literal["member", "instructor", "operator"]
FilePath = Annotated[Plain, Field(min_length=1, max_length=1024, description=(
    "A file's path in the course's folder: week1/tensors.ipynb."
))]

# whatever a student's file is called: one odd name must not hide that the others are open
OpenPath = Annotated[str, Field(min_length=1, max_length=4096)]
OpenPaths = Annotated[list[OpenPath], Field(max_length=1000)]


class UpdateIn(BaseModel, extra="forbid"):
    """Give me what is new."""

    open: list[OpenPath] = Field(default_factory=list, max_length=1000, description=(
        "Files that are open: they come when they are closed. What Lab has told of counts anyway."
    ))


class OpenIn(BaseModel, extra="forbid"):
    """All that is open in one's Lab; said again at least every two minutes."""

    window: Annotated[str, Field(max_length=64, description="Which of Lab's windows says so.")] = ""
    files: dict[Annotated[str, Field(max_length=255)], OpenPaths] = Field(
        max_length=100, description="Course → paths in its folder; courses of others do not count."
    )


class OpenOut(BaseModel):
    """What was told is known now."""

    open: int = Field(description="How many files that is.")


class FreshIn(BaseModel, extra="forbid"):
    """One file as it was handed out."""

    path: FilePath


class CellIn(BaseModel, extra="forbid"):
    """Which version of a cell stays, where two stand side by side."""

    path: FilePath
    cell: Annotated[Plain, Field(min_length=1, max_length=64)] = Field(
        description="The id of one's own cell."
    )
    take: Literal["instructor", "mine"]


class DraftIn(BaseModel, extra="forbid"):
    """A folder that is to become a release; one of `files` and `folder`."""

    files: str = Field("", description="The folder as a tar.gz, in base64.")
    folder: Annotated[Plain, Field(max_length=1024)] = Field(
        "", description="A folder below the home of whoever asks."
    )
    course: Annotated[Plain, Field(max_length=40)] = Field(
        "", description="Which course; the folder's name when empty."
    )


class CheckIn(BaseModel, extra="forbid"):
    """Where to run the notebooks; what course.toml says when empty."""

    profile: Annotated[Plain, Field(max_length=64)] = ""
    image: Annotated[Plain, Field(max_length=255)] = ""


class PublishIn(BaseModel, extra="forbid"):
    """What is said of a release."""

    notes: str = Field("", max_length=4000, description="For the members: what is new.")
    against: int | None = Field(None, ge=0, description=(
        "The release that the draft was seen against, 0 for none: refused where it is another now."
    ))


class ReleaseOut(BaseModel):
    """A release; `files` and `notebooks` count what the caller may see of it by now."""

    number: int
    at: datetime
    by: str
    notes: str
    files: int
    notebooks: int
    withdrawn: bool
    withdrawn_at: datetime | None
    withdrawn_by: str


class CourseOut(BaseModel):
    """A course. `newest` release, `mine`: the one handed out to the caller, if any.

    `behind`: there is something newer than what one has; `conflicts`: places where the caller's
    and the instructor's version stand side by side.
    """

    name: str
    title: str
    group: str
    role: Role
    newest: int | None
    mine: int | None
    behind: bool
    conflicts: int


class ComingOut(BaseModel):
    """A file that the next update brings or takes away; what it does with one's own is not said."""

    path: str
    change: Literal["new", "changed", "gone"]


class CourseWholeOut(CourseOut):
    """A course with its releases, newest first; `folder` in one's home, `git` below Madang.

    `coming`: what the newest release has otherwise than the caller's, the first 50 by name;
    `coming_more`: how many there are beyond.
    """

    zone: str
    folder: str
    git: str
    releases: list[ReleaseOut]
    coming: list[ComingOut]
    coming_more: int


class CellFateOut(BaseModel):
    """What became of a cell; `said` is `fate` in words. Sources before and after."""

    id: str
    fate: str
    said: str
    why: str
    before: str
    after: str


class FileFateOut(BaseModel):
    """What became of a file; `said` is `fate` in words. `beside`: where the new one lies."""

    path: str
    fate: str
    said: str
    note: str
    beside: str
    conflicts: int
    cells: list[CellFateOut]


class HandoutOut(BaseModel):
    """What one update did to one student's folder; `conflicts` at that time."""

    course: str
    update: int
    release: int
    at: datetime
    undone_at: datetime | None
    conflicts: int
    files: list[FileFateOut]


class NothingOut(BaseModel):
    """There was nothing new."""

    nothing: Literal[True] = True


class DoneOut(BaseModel):
    """It was done; `conflicts`: how many are left in this file."""

    path: str
    conflicts: int


class ProblemOut(BaseModel):
    """What is wrong in a draft, or worth knowing where not `fatal`; `line` 0: the whole file."""

    path: str
    line: int
    message: str
    fatal: bool


class DraftFileOut(BaseModel):
    """A file of a draft against the newest release."""

    path: str
    change: Literal["new", "changed", "same", "gone", "data"]
    size: int


class DraftOut(BaseModel):
    """A draft; `ok`: it can be published. `against`: the newest release, if there is one."""

    id: str
    course: str
    title: str
    group: str
    against: int | None
    until: datetime = Field(description="Until when it is kept.")
    problems: list[ProblemOut]
    files: list[DraftFileOut]
    ok: bool


class CheckOut(BaseModel):
    """One notebook's run; `cell`: where it failed, counted from 1."""

    path: str
    run: str
    stage: str
    done: bool
    ok: bool
    cells_done: int
    cells: int
    cell: int | None
    error: str
    lines: list[str]


class ChecksOut(BaseModel):
    """The runs of a draft's notebooks; `ok`: all have succeeded."""

    done: bool
    ok: bool
    checks: list[CheckOut]


class ExecutedOut(BaseModel):
    """How far a notebook was executed: code cells that ran, of all."""

    run: int
    cells: int


class StudentOut(BaseModel):
    """Where a member stands; `opened`: whether anything of the course was changed or run."""

    user: str
    release: int | None
    at: datetime | None
    behind: bool
    conflicts: int
    opened: bool
    executed: Mapping[str, ExecutedOut]


# ---- out of core's words ------------------------------------------------------------------------


def _told(language: str, told: str | Text) -> str:
    return words.text(language, told) if isinstance(told, Text) else told


def cell_out(found: CellFate, language: str) -> CellFateOut:
    """What became of a cell."""
    return CellFateOut(
        id=found.id, fate=found.fate, said=coursed.cell_word(language, found.fate),
        why=_told(language, found.why), before=found.source_before, after=found.source_after,
    )


def file_out(found: FileFate, language: str, *, undone: bool = False) -> FileFateOut:
    """What became of a file; `undone`: by an update that was."""
    return FileFateOut(
        path=found.path, fate=found.fate, said=coursed.word(language, found.fate, undone=undone),
        note=_told(language, found.note), beside=found.beside,
        conflicts=coursed.conflicts_of(found),
        cells=[cell_out(x, language) for x in found.cells],
    )


def handout_out(found: Handout, language: str) -> HandoutOut:
    """What an update did."""
    files = [file_out(x, language, undone=bool(found.undone_at)) for x in found.files]
    return HandoutOut(
        course=found.course, update=found.update, release=found.release, at=found.at,
        undone_at=found.undone_at, conflicts=sum(x.conflicts for x in files), files=files,
    )


def release_out(found: Release, now: datetime, *, whole: bool) -> ReleaseOut:
    """A release; `whole`: with what members do not see yet."""
    files = found.files if whole else found.visible(now)
    return ReleaseOut(
        number=found.number, at=found.at, by=found.by, notes=found.notes, files=len(files),
        notebooks=sum(x.notebook for x in files), withdrawn=found.withdrawn_at is not None,
        withdrawn_at=found.withdrawn_at, withdrawn_by=found.withdrawn_by,
    )


def student_out(found: Any, newest: Release | None) -> StudentOut:
    """Where a member stands."""
    return StudentOut(
        user=found.user, release=found.release, at=found.at,
        behind=newest is not None and (found.release or 0) < newest.number,
        conflicts=found.conflicts, opened=found.opened, executed={
            k: ExecutedOut(run=run, cells=cells) for k, (run, cells) in found.executed.items()
        },
    )

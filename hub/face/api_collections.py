"""The REST routes of handing in: collections, what was taken, feedback. See `api` for a route."""

from collections.abc import Generator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hub.collecting import Collecting
from hub.core.courses import Collection, Submission
from hub.face import words
from hub.face.api import ERRORS, HouseRoute, Language, Plain
from hub.face.api_courses import CourseName, Use, led_course, own_course
from hub.face.api_drafts import decoded
from hub.face.caller import Caller
from hub.face.heavy import heavy
from hub.face.login import ApiCaller

router = APIRouter(
    prefix="/api/courses/{course}/collections", responses=ERRORS, route_class=HouseRoute
)
Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="A collection.")]


class CollectionIn(BaseModel, extra="forbid"):
    """What is to be collected, and when."""

    name: Annotated[Plain, Field(max_length=60)]
    path: Annotated[Plain, Field(max_length=1024)] = Field(
        description="A folder in the course's folder: homework1."
    )
    due: Annotated[Plain, Field(max_length=40)] = Field("", description=(
        "Local in the course's zone: 2026-12-01T18:00, or 18:00; now when empty."
    ))


class AgainIn(BaseModel, extra="forbid"):
    """Whose work is taken again."""

    user: Annotated[Plain, Field(max_length=255)]


class FeedbackIn(BaseModel, extra="forbid"):
    """Files to lay into students' folders."""

    files: str = Field(description="A folder as a tar.gz, in base64: student1/grade.html.")


class SubmissionOut(BaseModel):
    """What was taken of one student; `size` in bytes, `problem` where that went wrong.

    `returned_at`: when feedback came into their folder, `feedback/<name>/` of the course's.
    """

    user: str
    files: int
    size: int
    taken_at: datetime
    problem: str
    returned_at: datetime | None


class CollectionOut(BaseModel):
    """A collection; of `submissions` a student sees the own one.

    `yours`: whether the caller's own folder is collected.
    """

    name: str
    path: str
    yours: bool
    due: datetime
    made_by: str
    taken_at: datetime | None
    feedback_at: datetime | None
    submissions: list[SubmissionOut]


class ReturnedOut(BaseModel):
    """What was laid into one student's folder."""

    user: str
    files: int
    problem: str


@router.get("")
def collections(
    course: CourseName, caller: ApiCaller, use: Use, language: Language, request: Request
) -> list[CollectionOut]:
    """What is collected in a course, by deadline; and what was handed in."""
    found = own_course(course, caller, use)
    every = caller.leads(found.group)
    return [
        collection_out(x, caller, language, collecting(request), every=every)
        for x in collecting(request).list(found.name)
    ]


@router.post("", status_code=201)
@heavy
def plan(
    course: CourseName, wanted: CollectionIn, caller: ApiCaller, use: Use, language: Language,
    request: Request,
) -> CollectionOut:
    """Collect a folder of each student at a deadline; another one for what is not collected yet."""
    led_course(course, caller, use)
    made = collecting(request).plan(course, wanted.name, wanted.path, wanted.due, caller.name)
    return collection_out(made, caller, language, collecting(request), every=True)


@router.delete("/{name}")
def drop(
    course: CourseName, name: Name, caller: ApiCaller, use: Use, language: Language,
    request: Request,
) -> CollectionOut:
    """Collect it not; only before its deadline."""
    led_course(course, caller, use)
    gone = collecting(request).drop(course, name, caller.name)
    return collection_out(gone, caller, language, collecting(request), every=True)


@router.post("/{name}/again")
@heavy
def again(
    course: CourseName, name: Name, wanted: AgainIn, caller: ApiCaller, use: Use,
    language: Language, request: Request,
) -> SubmissionOut:
    """Take what one student has now, in place of what was taken of them."""
    led_course(course, caller, use)
    made = collecting(request).again(course, name, wanted.user, caller.name)
    return _submission_out(made, language)


@router.get("/{name}/archive", response_model=None, responses={
    200: {"content": {"application/gzip": {"schema": {"type": "string", "format": "binary"}}}},
})
@heavy
def archive(
    course: CourseName, name: Name, caller: ApiCaller, use: Use, request: Request
) -> StreamingResponse:
    """All that was handed in, `<student>/<name>/…`: a tar.gz to download."""
    led_course(course, caller, use)
    found = collecting(request).get(course, name)
    return _Archive(collecting(request).archive(found), f"{course}-{name}.tar.gz")


@router.post("/{name}/feedback")
@heavy
def feedback(
    course: CourseName, name: Name, wanted: FeedbackIn, caller: ApiCaller, use: Use,
    language: Language, request: Request,
) -> list[ReturnedOut]:
    """Lay files into students' folders, under `feedback/<name>/`."""
    led_course(course, caller, use)
    made = collecting(request).give_back(course, name, decoded(wanted.files), caller.name)
    return [
        ReturnedOut(user=x.user, files=x.files, problem=words.say(language, x.problem))
        for x in made
    ]


# ---- what is shown ------------------------------------------------------------------------------


def collecting(request: Request) -> Collecting:
    """The service's collections."""
    found: Collecting = request.app.state.collecting
    return found


def collection_out(
    found: Collection, caller: Caller, language: str, use: Collecting, *, every: bool
) -> CollectionOut:
    """A collection as the caller may see it."""
    return CollectionOut(
        name=found.name, path=found.path, due=found.due,
        yours=any(map(caller.owns, use.people(found.course))), made_by=found.made_by,
        taken_at=found.taken_at, feedback_at=found.feedback_at, submissions=[
            _submission_out(x, language)
            for x in use.submissions(found, None if every else caller.name).values()
            if every or caller.owns(x.user)
        ],
    )


def _submission_out(made: Submission, language: str) -> SubmissionOut:
    return SubmissionOut(
        user=made.user, files=made.files, size=made.size, taken_at=made.taken_at,
        problem=words.say(language, made.problem) if made.problem else "",
        returned_at=made.returned_at,
    )


class _Archive(StreamingResponse):
    """A download that is made while it is sent, and no further when the client has gone."""

    def __init__(self, pieces: Generator[bytes, None, None], name: str) -> None:
        super().__init__(pieces, media_type="application/gzip", headers={
            "Content-Disposition": f'attachment; filename="{name}"',
        })
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pieces.close()

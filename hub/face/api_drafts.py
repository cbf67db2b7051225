"""The REST routes of drafts of courses: looked at, run once, published. See `api` for a route."""

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from hub.core.courses import Author
from hub.core.releases import Draft
from hub.core.report import entry_of
from hub.core.runs import Run, RunStage
from hub.drafts import Card
from hub.errors import BadInput, NotAllowed
from hub.face import reasons, words
from hub.face.api import ERRORS, HouseRoute, Language, text_answer, withheld
from hub.face.api_courses import FileQuery, Use, diff_page
from hub.face.caller import Caller
from hub.face.heavy import heavy
from hub.face.login import ApiCaller
from hub.face.views_courses import (
    CheckIn,
    CheckOut,
    ChecksOut,
    DraftFileOut,
    DraftIn,
    DraftOut,
    ProblemOut,
    PublishIn,
    ReleaseOut,
    release_out,
)

router = APIRouter(prefix="/api/courses/drafts", responses=ERRORS, route_class=HouseRoute)
DraftId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$", description="A draft's id.")]


@router.post("", status_code=201)
@heavy
def make(wanted: DraftIn, caller: ApiCaller, use: Use, language: Language) -> DraftOut:
    """What a folder would become as a release, with every problem by file and line."""
    author = author_of(caller)
    if bool(wanted.files) == bool(wanted.folder):
        raise BadInput("Send the files, or name a folder of your home.", reason="bad-request")
    if wanted.folder:
        if caller.kind != "user":
            raise BadInput("This token has no home: send the files.", reason="bad-request")
        made = use.drafts.of_folder(author, wanted.course, wanted.folder)
    else:
        made = use.drafts.of_archive(author, wanted.course, decoded(wanted.files))
    return draft_out(*made, language)


@router.get("/{id}")
@heavy
def look(id: DraftId, caller: ApiCaller, use: Use, language: Language) -> DraftOut:
    """A draft of one's own, against the release that is the newest now."""
    return draft_out(*use.drafts.get(id, author_of(caller)), language)


@router.delete("/{id}", status_code=204)
def discard(id: DraftId, caller: ApiCaller, use: Use) -> Response:
    """Drop it."""
    use.drafts.forget(id, author_of(caller))
    return Response(status_code=204)


@router.get("/{id}/diff", response_model=None, responses=text_answer("text/html"))
@heavy
def diff(
    id: DraftId, path: FileQuery, caller: ApiCaller, use: Use, language: Language
) -> Response:
    """What changes in a file: a page in which nothing runs and nothing is loaded."""
    found = use.drafts.compare(id, author_of(caller), path)
    return diff_page(path, found, language, use)


@router.post("/{id}/check", status_code=201)
@heavy
def check(
    id: DraftId, wanted: CheckIn, caller: ApiCaller, use: Use, language: Language
) -> ChecksOut:
    """Run each of its notebooks in a copy of the whole course: runs of one's own."""
    if caller.kind != "user":
        raise BadInput(
            "Only a person can have runs: take a token of your own.", reason="bad-request"
        )
    author = author_of(caller)
    use.drafts.check(id, author, profile=wanted.profile, image=wanted.image)
    return checks_out(use.drafts.checks(id, author), language)


@router.get("/{id}/check")
def checks(id: DraftId, caller: ApiCaller, use: Use, language: Language) -> ChecksOut:
    """How far these runs are; where one failed, in which cell."""
    return checks_out(use.drafts.checks(id, author_of(caller)), language)


@router.post("/{id}/publish", status_code=201)
@heavy
def publish(id: DraftId, wanted: PublishIn, caller: ApiCaller, use: Use) -> ReleaseOut:
    """The draft as the next release."""
    made = use.drafts.publish(id, author_of(caller), wanted.notes, against=wanted.against)
    return release_out(made, made.at, whole=True)


# ---- may they -----------------------------------------------------------------------------------


def author_of(caller: Caller) -> Author:
    """The caller as an author of courses; of which, the course.toml decides.

    Raises:
        NotAllowed: an instructor of nothing.
    """
    if not (caller.instructs or caller.is_operator):
        raise withheld(caller) or NotAllowed("Only an instructor can do this.")
    return Author(
        caller.name, instructs=frozenset(caller.instructs), operator=caller.is_operator
    )


def decoded(text: str) -> bytes:
    """What was sent in base64.

    Raises:
        BadInput: it is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise BadInput("The files are not base64.", reason="snapshot") from e


# ---- what is shown ------------------------------------------------------------------------------


def draft_out(card: Card, draft: Draft, language: str) -> DraftOut:
    """A draft."""
    problems = [
        ProblemOut(path=x.path, line=x.line, message=words.text(language, x.message), fatal=x.fatal)
        for x in draft.problems
    ]
    if draft.more:
        more = words.say(language, "and {count} more problems", count=draft.more)
        problems.append(ProblemOut(path="", line=0, message=more, fatal=not draft.ok))
    about = draft.about
    return DraftOut(
        id=card.id, course=card.course, title=about.title if about else card.course,
        group=about.group if about else "", against=draft.against, until=card.until,
        problems=problems, ok=draft.ok, files=[
            DraftFileOut(path=x.path, change=x.change, size=x.size)
            for x in draft.changes()
        ],
    )


def checks_out(found: dict[str, Run], language: str) -> ChecksOut:
    """The runs of a draft's notebooks."""
    made = [_check_out(k, x, language) for k, x in found.items()]
    return ChecksOut(
        checks=made, done=all(x.done for x in made), ok=bool(made) and all(x.ok for x in made)
    )


def _check_out(path: str, run: Run, language: str) -> CheckOut:
    entry = entry_of(run, ())
    said: Any = reasons.said(run, language)
    return CheckOut(
        path=path, run=run.id, stage=run.stage.value, done=run.done,
        ok=run.stage is RunStage.SUCCEEDED, cells_done=run.cells_done, cells=run.cells,
        cell=entry.cell, error=entry.error or (said.message if entry.failed else ""),
        lines=list(entry.lines),
    )

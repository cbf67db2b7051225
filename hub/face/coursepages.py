"""The pages of courses: one's courses, one of them, a file of it, a draft of it.

Nothing that a notebook says runs in them: texts are escaped, and the policy lets in our own script
only, which asks our own API.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from hub.core.compare import Comparison
from hub.core.lease import Kind
from hub.errors import Refusal
from hub.face import (
    api_courses,
    api_drafts,
    coursed,
    coursepages_handin,
    pages,
    reported,
    words,
)
from hub.face.api import Parts
from hub.face.api import Use as Rest
from hub.face.api_courses import CourseName, FileQuery, Number, Use
from hub.face.api_drafts import DraftId
from hub.face.caller import Caller
from hub.face.heavy import heavy
from hub.face.login import PageVisitor
from hub.face.spoken import SPOKEN
from hub.face.views_courses import StudentOut, file_out, handout_out

router = APIRouter(include_in_schema=False)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_CROWDED = 429
_SHOWN = 10  # updates on a page; the command line lists all


@router.get("/courses")
def courses(request: Request, visitor: PageVisitor, use: Use, rest: Rest) -> Response:
    """One's courses: which release one has, what is new, where one has to choose."""
    found = api_courses.courses_of(visitor, use)
    language = pages.language_of(request)
    return _page("courses.html", request, visitor, rest, words.say(language, "Courses"), {
        "found": [api_courses.course_out(x, visitor, use) for x in found],
        "leads": bool(visitor.instructs) or visitor.is_operator,
    }, above=False)


@router.get("/courses/{course}")
@heavy
def course(
    course: CourseName, request: Request, visitor: PageVisitor, use: Use, rest: Rest
) -> Response:
    """One course: what the updates did to one's folder; for instructors, where everybody is."""
    found = api_courses.own_course(course, visitor, use)
    language = pages.language_of(request)
    own = api_courses.is_member(found, visitor)
    updates = api_courses.updates_of(found, visitor, use)[:_SHOWN] if own else []
    student = use.handouts.student(visitor.name, course) if own else None
    newest = use.publishing.newest(course)
    return _page("course.html", request, visitor, rest, found.title, {
        "course": api_courses.whole_out(found, visitor, use), "own": own,
        "updates": [handout_out(x, language) for x in updates],
        "held": bool(student and newest and student.held_at >= newest.number),
        "last": next((x.update for x in updates if x.undone_at is None), 0),
        "conflicts": sorted(api_courses.conflicts_of(found, visitor, use).items()) if own else [],
        "running": own and _runs(visitor, rest),
        **(_students(api_courses.students_of(found, use)) if visitor.leads(found.group) else {}),
        **coursepages_handin.section(found, request, visitor, use, datetime.now(UTC)),
        "git": f"{_origin(request, rest)}{request.app.state.prefix}git/{found.name}.git",
    })


@router.get("/courses/{course}/updates/{update}")
@heavy
def update(
    course: CourseName, update: Number, path: FileQuery, request: Request, visitor: PageVisitor,
    use: Use, rest: Rest,
) -> Response:
    """What one update did with one file."""
    made = api_courses.own_update(course, update, visitor, use)
    fate, language = api_courses.fate_of(made, path), pages.language_of(request)
    last = api_courses.updates_of(use.publishing.course(course), visitor, use)[0].update
    return _file(request, visitor, use, rest, course, path, {
        "update": handout_out(made, language), "file": file_out(fate, language), "beside": "",
        "pairs": _pairs(visitor, use, course, path) if update == last else None,
        **_compared(use, lambda: use.looks.versions(visitor.name, made, path), visitor, language,
                    path),
    })


@router.get("/courses/{course}/file")
@heavy
def file(
    course: CourseName, path: FileQuery, request: Request, visitor: PageVisitor, use: Use,
    rest: Rest,
) -> Response:
    """A file in which two versions stand side by side, to choose between them."""
    api_courses.member_of(course, visitor, use)
    beside = use.looks.beside(visitor.name, course, path)

    def versions() -> tuple[bytes, bytes]:
        return use.looks.now(visitor.name, course, path), use.looks.now(
            visitor.name, course, beside)

    return _file(request, visitor, use, rest, course, path, {
        "update": None, "file": None, "beside": beside,
        "pairs": None if beside else _pairs(visitor, use, course, path),
        **(_compared(use, versions, visitor, pages.language_of(request), path) if beside
           else {"comparison": None, "problem": ""}),
    })


@router.get("/courses/drafts/{id}")
@heavy
def draft(
    id: DraftId, request: Request, visitor: PageVisitor, use: Use, rest: Rest
) -> Response:
    """What a folder would become as a release, to be looked at, run, and published."""
    language = pages.language_of(request)
    card, found = use.drafts.get(id, api_drafts.author_of(visitor))
    shown = api_drafts.draft_out(card, found, language)
    settings, about = rest.broker.settings, found.about
    changes = [x for x in shown.files if x.change != "same"]
    title = words.say(language, "Draft of {course}", course=card.course)
    return _page("coursedraft.html", request, visitor, rest, title, {
        "draft": shown, "changes": changes, "same": len(shown.files) - len(changes),
        "number": (found.against or 0) + 1,
        "notebooks": sum(x.notebook for x in found.files) if shown.ok else 0,
        "profiles": [x.profile for x in rest.broker.offers()],
        "profile": about.profile if about else "", "images": settings.images,
        "image": (about.image if about else "") or settings.default_image,
    })


@router.get("/courses/drafts/{id}/file")
@heavy
def draft_file(
    id: DraftId, path: FileQuery, request: Request, visitor: PageVisitor, use: Use, rest: Rest
) -> Response:
    """What changes in a file of a draft."""
    author, language = api_drafts.author_of(visitor), pages.language_of(request)
    card = use.drafts.card(id, author)
    try:
        seen: dict[str, Any] = {
            "comparison": use.drafts.compare(id, author, path), "problem": "",
        }
    except Refusal as e:
        if e.status == _CROWDED:
            raise
        seen = {"comparison": None, "problem": words.refusal(language, e)}
    return _page("coursefile.html", request, visitor, rest, path, {
        "course": {"title": card.course, "name": card.course}, "path": path, "update": None,
        "file": None, "pairs": None, "beside": "", **seen,
    }, (f"courses/drafts/{id}", card.course))


# ---- inside -------------------------------------------------------------------------------------


def _pairs(visitor: Caller, use: api_courses.Courses, course: str, path: str) -> list[Any]:
    return list(use.looks.pairs(visitor.name, course, path))


def _compared(
    use: api_courses.Courses, versions: Callable[[], tuple[bytes, bytes]], visitor: Caller,
    language: str, path: str,
) -> dict[str, Any]:
    """What differs, or why that cannot be told."""
    found: Comparison | None = None
    problem = ""
    try:
        found = use.reports.beside(
            *versions(), visitor.name, notebooks=path.endswith(".ipynb")
        )
    except Refusal as e:
        problem = words.refusal(language, e)
    return {"comparison": found, "problem": problem}


def _runs(visitor: Caller, rest: Parts) -> bool:
    """Whether the visitor's server runs: what is open there is not known here."""
    return any(
        x.request.user == visitor.name and x.request.kind is Kind.SERVER
        for x in rest.broker.state().leases.values()
    )


def _students(found: list[StudentOut]) -> dict[str, Any]:
    """The members' table, what is worth a look in numbers, and the columns of notebooks."""
    return {
        "students": found,
        "notebooks": sorted({k for x in found for k in x.executed}),
        "tiles": {
            "newest": sum(not x.behind for x in found), "behind": sum(x.behind for x in found),
            "conflicts": sum(bool(x.conflicts) for x in found),
            "unopened": sum(not x.opened for x in found),
        },
    }


def _file(
    request: Request, visitor: Caller, use: api_courses.Courses, rest: Parts, course: str,
    path: str, values: dict[str, Any],
) -> Response:
    found = use.publishing.course(course)
    return _page("coursefile.html", request, visitor, rest, path, {
        "course": found, "path": path, **values,
    }, (f"courses/{course}", found.title))


def _page(
    template: str, request: Request, visitor: Caller, rest: Parts, title: str,
    values: dict[str, Any], *way: tuple[str, str], above: bool = True,
) -> Response:
    language = pages.language_of(request)
    page = pages.page_of(
        request, title, name=visitor.name, is_operator=visitor.is_operator,
        instructs=visitor.instructs, xsrf=request.app.state.login.xsrf(request),
        zone=rest.broker.settings.timezone, texts={x: words.say(language, x) for x in SPOKEN},
    )
    html = reported.on_page(
        template, page, datetime.now(UTC), title=title, c=coursed.CourseTalk(language),
        above=[("courses", words.say(language, "Courses")), *way] if above else [], **values,
    )
    return HTMLResponse(html, headers={
        "Content-Language": language, "Content-Security-Policy": _POLICY,
    })


def _origin(request: Request, rest: Parts) -> str:
    """Where people reach Madang, as far as it is known: an address to copy."""
    return rest.broker.settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")

"""The REST routes of courses, for their members. See `api` for what a route is."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from hub.core import handingout
from hub.core.courses import Course, FileFate, Handout, folder_of
from hub.courselooks import CourseLooks
from hub.drafts import Drafts
from hub.errors import NotAllowed, NotFound
from hub.face import coursed, reported, words
from hub.face.api import ERRORS, HouseRoute, Language, Plain, text_answer, withheld
from hub.face.caller import Caller
from hub.face.heavy import heavy
from hub.face.login import ApiCaller
from hub.face.reported import SEALED
from hub.face.views_courses import (
    CellIn,
    ComingOut,
    CourseOut,
    CourseWholeOut,
    DoneOut,
    FreshIn,
    HandoutOut,
    NothingOut,
    OpenIn,
    OpenOut,
    ReleaseOut,
    Role,
    StudentOut,
    UpdateIn,
    handout_out,
    release_out,
    student_out,
)
from hub.handout import Handouts
from hub.publishing import Publishing
from hub.reports import Reports

router = APIRouter(prefix="/api", responses=ERRORS, route_class=HouseRoute)
CourseName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="A course.")]
Number = Annotated[int, Path(ge=1, le=10**9)]
_SHOWN = 50  # names of what an update would bring
FileQuery = Annotated[Plain, Query(alias="path", min_length=1, max_length=1024)]


@dataclass(frozen=True)
class Courses:
    """What the routes of courses work with."""

    publishing: Publishing
    handouts: Handouts
    looks: CourseLooks
    drafts: Drafts
    reports: Reports


def _courses(request: Request) -> Courses:
    found: Courses = request.app.state.courses
    return found


Use = Annotated[Courses, Depends(_courses)]


# ---- looking ------------------------------------------------------------------------------------


@router.get("/courses")
def courses(caller: ApiCaller, use: Use) -> list[CourseOut]:
    """One's courses by name: as a member, as an instructor; an operator's are all."""
    return [course_out(x, caller, use) for x in courses_of(caller, use)]


@router.get("/courses/{course}")
def course(course: CourseName, caller: ApiCaller, use: Use) -> CourseWholeOut:
    """One course with its releases."""
    return whole_out(own_course(course, caller, use), caller, use)


@router.get("/courses/{course}/updates")
def updates(
    course: CourseName, caller: ApiCaller, use: Use, language: Language
) -> list[HandoutOut]:
    """What the updates did to one's own folder, newest first."""
    found = member_of(course, caller, use)
    return [handout_out(x, language) for x in updates_of(found, caller, use)]


@router.get("/courses/{course}/updates/{update}")
def one_update(
    course: CourseName, update: Number, caller: ApiCaller, use: Use, language: Language
) -> HandoutOut:
    """What one update did."""
    return handout_out(own_update(course, update, caller, use), language)


@router.get(
    "/courses/{course}/updates/{update}/diff", response_model=None,
    responses=text_answer("text/html"),
)
@heavy
def update_diff(
    course: CourseName, update: Number, path: FileQuery, caller: ApiCaller, use: Use,
    language: Language,
) -> Response:
    """What an update changed in a file: a page in which nothing runs and nothing is loaded."""
    made = own_update(course, update, caller, use)
    fate = fate_of(made, path)
    before, after = use.looks.versions(caller.name, made, path)
    found = use.reports.beside(before, after, caller.name, notebooks=path.endswith(".ipynb"))
    return diff_page(path, found, language, use, coursed.word(language, fate.fate))


# ---- changing one's own folder ------------------------------------------------------------------


@router.put("/courses/open")
def now_open(wanted: OpenIn, caller: ApiCaller, use: Use) -> OpenOut:
    """What is open in one's Lab, which is not written meanwhile."""
    mine = {x.name for x in courses_of(caller, use) if is_member(x, caller)}
    files = {k: set(x) for k, x in wanted.files.items() if k in mine}
    use.handouts.opened.tell(caller.name, wanted.window, files)
    return OpenOut(open=sum(map(len, files.values())))


@router.post("/courses/{course}/update")
@heavy
def update(
    course: CourseName, wanted: UpdateIn, caller: ApiCaller, use: Use, language: Language
) -> HandoutOut | NothingOut:
    """Bring one's folder up to date; what one has changed is kept."""
    member_of(course, caller, use)
    made = use.handouts.hand_out(caller.name, course, open=wanted.open, anyway=True)
    return handout_out(made, language) if made and made.files else NothingOut()


@router.post("/courses/{course}/updates/{update}/undo")
@heavy
def undo(
    course: CourseName, update: Number, caller: ApiCaller, use: Use, language: Language
) -> HandoutOut:
    """Put the folder back as it was before the newest update."""
    own_update(course, update, caller, use)
    return handout_out(use.handouts.undo(caller.name, course, update), language)


@router.post("/courses/{course}/fresh")
@heavy
def fresh(
    course: CourseName, wanted: FreshIn, caller: ApiCaller, use: Use, language: Language
) -> HandoutOut | NothingOut:
    """A file as the newest release has it; what was there goes into a backup."""
    member_of(course, caller, use)
    made = use.handouts.fresh(caller.name, course, wanted.path)
    return handout_out(made, language) if made else NothingOut()


@router.post("/courses/{course}/cells")
@heavy
def cells(course: CourseName, wanted: CellIn, caller: ApiCaller, use: Use) -> DoneOut:
    """Where two versions of a cell stand side by side: which one stays."""
    member_of(course, caller, use)
    do = use.handouts.take if wanted.take == "instructor" else use.handouts.keep
    do(caller.name, course, wanted.path, wanted.cell)
    left = use.looks.pairs(caller.name, course, wanted.path)
    return DoneOut(path=wanted.path, conflicts=len(left))


# ---- for instructors ----------------------------------------------------------------------------


@router.get("/courses/{course}/students")
@heavy
def students(course: CourseName, caller: ApiCaller, use: Use) -> list[StudentOut]:
    """Who has which release, what stands side by side, how far each notebook was run."""
    found = led_course(course, caller, use)
    return students_of(found, use)


@router.delete("/courses/{course}/releases/{number}")
def withdraw(course: CourseName, number: Number, caller: ApiCaller, use: Use) -> ReleaseOut:
    """Hand a release out to nobody else; who has it keeps it until the next one."""
    found = led_course(course, caller, use)
    gone = use.publishing.withdraw(found.name, number, caller.name)
    return release_out(gone, datetime.now(UTC), whole=True)


# ---- may they -----------------------------------------------------------------------------------


def own_course(name: str, caller: Caller, use: Courses) -> Course:
    """A course of a group of the caller's, or that they lead; another is as if it were not.

    Raises:
        NotFound: no such course, or not theirs.
    """
    found = use.publishing.store.course(name)
    if found is None or not (caller.leads(found.group) or is_member(found, caller)):
        raise NotFound(
            "There is no course {name}. `madang course list` shows yours.", name=name
        )
    return found


def member_of(name: str, caller: Caller, use: Courses) -> Course:
    """A course of which the caller has, or will have, a folder in their home."""
    found = own_course(name, caller, use)
    if not is_member(found, caller):
        raise NotAllowed("You are no member of the group {group}.", group=found.group)
    return found


def led_course(name: str, caller: Caller, use: Courses) -> Course:
    """A course that the caller may publish and look at as a whole."""
    found = own_course(name, caller, use)
    if not caller.leads(found.group):
        raise withheld(caller) or NotAllowed("Only an instructor of the course can do this.")
    return found


def is_member(course: Course, caller: Caller) -> bool:
    """Whether it is handed out to the caller."""
    return caller.kind == "user" and course.group in caller.groups


def own_update(name: str, number: int, caller: Caller, use: Courses) -> Handout:
    """One update of the caller's folder."""
    course = member_of(name, caller, use)
    for one in updates_of(course, caller, use):
        if one.update == number:
            return one
    raise NotFound("There is no update {number} of your folder of {course}.",
                   number=number, course=course.name)


def fate_of(made: Handout, path: str) -> FileFate:
    """What an update did with a file."""
    for one in made.files:
        if one.path == path:
            return one
    raise NotFound("That update did nothing with {path}.", path=path[:200])


# ---- what is shown ------------------------------------------------------------------------------


def courses_of(caller: Caller, use: Courses) -> list[Course]:
    """The courses that the caller may see, by name."""
    return [
        x for x in use.publishing.courses()
        if caller.leads(x.group) or is_member(x, caller)
    ]


def role_of(course: Course, caller: Caller) -> Role:
    """What the caller is in a course."""
    if course.group in caller.instructs:
        return "instructor"
    return "operator" if caller.is_operator else "member"


def course_out(course: Course, caller: Caller, use: Courses) -> CourseOut:
    """A course in a list."""
    newest = use.publishing.newest(course.name)
    own = use.handouts.student(caller.name, course.name) if is_member(course, caller) else None
    return CourseOut(
        name=course.name, title=course.title, group=course.group, role=role_of(course, caller),
        newest=newest.number if newest else None, mine=own.release if own else None,
        behind=bool(newest and is_member(course, caller) and (
            own is None or own.release < newest.number
        )),
        conflicts=sum(conflicts_of(course, caller, use).values()) if own else 0,
    )


def whole_out(course: Course, caller: Caller, use: Courses) -> CourseWholeOut:
    """A course with its releases."""
    now = datetime.now(UTC)
    coming = coming_of(course, caller, use, now)
    return CourseWholeOut(
        **dict(course_out(course, caller, use)), zone=course.zone,
        folder=str(folder_of(course.name)), git=f"git/{course.name}.git",
        releases=[
            release_out(x, now, whole=caller.leads(course.group))
            for x in use.publishing.releases(course.name)
        ],
        coming=coming[:_SHOWN], coming_more=max(0, len(coming) - _SHOWN),
    )


def coming_of(
    course: Course, caller: Caller, use: Courses, now: datetime
) -> list[ComingOut]:
    """What the newest release has otherwise than the caller's folder was given, by name."""
    newest = use.publishing.newest(course.name) if is_member(course, caller) else None
    own = use.handouts.student(caller.name, course.name) if newest else None
    if newest is None or (own and own.release > newest.number):
        return []
    return [
        ComingOut(path=path, change=change)
        for path, change in handingout.coming(own, handingout.handed(newest.visible(now)))
    ]


def updates_of(course: Course, caller: Caller, use: Courses) -> list[Handout]:
    """The updates of the caller's folder, newest first."""
    return use.handouts.updates(caller.name, course.name)


def conflicts_of(course: Course, caller: Caller, use: Courses) -> dict[str, int]:
    """File → how many cells stand side by side in it now, in the caller's folder."""
    return use.looks.conflicts(caller.name, course.name)


def students_of(course: Course, use: Courses) -> list[StudentOut]:
    """Where each member stands."""
    newest = use.publishing.newest(course.name)
    return [student_out(x, newest) for x in use.handouts.overview(course.name)]


def diff_page(path: str, found: object, language: str, use: Courses, said: str = "") -> Response:
    """What differs in a file, as a sealed page."""
    html = reported.alone(
        "coursediff.html", language, use.publishing.settings.timezone, datetime.now(UTC),
        title=path, said=said or words.say(language, "What changes"), comparison=found,
    )
    return HTMLResponse(html, headers=SEALED | {"Content-Language": language})

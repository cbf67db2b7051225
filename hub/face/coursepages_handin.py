"""Handing in on a course's page: whose work is collected when, and what was taken of whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Request

from hub.collecting import NOTHING, Collecting
from hub.core.courses import Collection, Course, Submission
from hub.core.handingin import FEEDBACK
from hub.core.hours import zone_of
from hub.errors import Text
from hub.face import pages, reported, words
from hub.face.api_collections import collecting
from hub.face.api_courses import Courses, is_member
from hub.face.caller import Caller


@dataclass(frozen=True)
class Taken:
    """What was taken of one student; `note`: why it is nothing, or not all, `tone` its class.

    `there`: they are in the group still, and can be collected again. `returned_at`: feedback came.
    """

    user: str
    at: datetime | None
    files: int
    note: str
    tone: str
    there: bool = True
    returned_at: datetime | None = None


@dataclass(frozen=True)
class Collected:
    """A collection on a page; of `students` a student sees the own one."""

    name: str
    path: str
    due: datetime
    taken_at: datetime | None
    feedback_at: datetime | None
    stage: str
    said: str
    tone: str
    students: tuple[Taken, ...]

    @property
    def handed_in(self) -> int:
        """Of how many students there are files."""
        return sum(bool(x.files) for x in self.students)


def section(
    course: Course, request: Request, visitor: Caller, use: Courses, now: datetime
) -> Mapping[str, Any]:
    """What the section of the page shows, its times in the course's zone."""
    language, made = pages.language_of(request), collecting(request)
    leads = visitor.leads(course.group)
    every = made.people(course.name)
    people = every if leads else [x for x in every if visitor.owns(x)]
    own = is_member(course, visitor) and bool(people)
    zone = _zone(course.zone, use.publishing.settings.timezone)
    return {
        "collections": [_seen(x, made, people, language, leads=leads, now=now)
                        for x in made.list(course.name)] if leads or own else [],
        "local": reported.talk(language, zone, now), "zone": zone, "feedback": FEEDBACK,
    }


def _seen(
    found: Collection, use: Collecting, people: Sequence[str], language: str, *, leads: bool,
    now: datetime,
) -> Collected:
    there = use.submissions(found, None if leads else people[0])
    gone = sorted(set(there) - set(people)) if leads else []
    # a service that was killed goes on: some are taken, and the collection is not
    stage = ("taken" if found.taken_at else
             "running" if there or found.due <= now else "planned")
    said, tone = _STAGES[stage]
    return Collected(
        found.name, found.path, found.due, found.taken_at, found.feedback_at, stage,
        words.text(language, said), tone,
        tuple([_taken(x, there.get(x), language) for x in people]
              + [_taken(x, there[x], language, here=False) for x in gone]),
    )


_EMPTY = Text("the folder was empty")
_STAGES = {
    "taken": (Text("collected"), "free"), "running": (Text("being collected"), "ending"),
    "planned": (Text("planned"), "held"),
}


def _taken(user: str, found: Submission | None, language: str, *, here: bool = True) -> Taken:
    if found is None:
        return Taken(user, None, 0, words.say(language, "not collected"), "missing", here)
    note = found.problem if found.files else found.problem or _EMPTY.template
    tone = ("ending" if found.files else
            "missing" if note in {NOTHING, _EMPTY.template} else "blocked")
    return Taken(
        user, found.taken_at, found.files, words.say(language, note) if note else "", tone, here,
        found.returned_at,
    )


def _zone(name: str, otherwise: str) -> str:
    """The course's zone; the house's where this machine knows the other no more."""
    try:
        zone_of(name)
    except (KeyError, ValueError, OSError):
        return otherwise
    return name

"""A course's own schedules: those of its course.toml, run for whoever has published it."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hub.core.coursefile import About, BadCourseFile
from hub.core.courses import COURSE_FILE, Author, Problem
from hub.core.schedulefile import Entry
from hub.errors import BadInput, Refusal, Text
from hub.schedules import Schedules
from hub.schedulesource import Read, Source, taken

Content = Callable[[str], bytes]  # a file of the release


class CourseSchedules:
    """The schedules of all courses."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    def problem(
        self, course: str, about: About, author: Author, content: Content
    ) -> Problem | None:
        """What is wrong with them, the first of it; nothing is kept."""
        try:
            source = self._source(course)
            for one in self._read(course, about, author, content):
                source.made(one)
        except BadCourseFile as e:
            return Problem(COURSE_FILE, e.line, e.why)
        except BadInput as e:
            line, why = e.values.get("line"), e.values.get("why")
            said = why if isinstance(why, Text) else Text(e.template, **e.values)
            return Problem(COURSE_FILE, line if isinstance(line, int) else 1, said)
        except Refusal as e:
            return Problem(COURSE_FILE, 1, Text(e.template, **e.values))
        return None

    def apply(self, course: str, about: About, author: Author, content: Content) -> None:
        """Keep them as the release says, and no others of this course.

        Raises:
            BadInput: one cannot be any more; nothing is changed then.
            Unavailable: the disk is full or the store does not answer.
        """
        source = self._source(course)
        if about.schedules or not source.empty:
            source.apply(self._read(course, about, author, content))

    def _source(self, course: str) -> Source:
        return Source(self._schedules, f"course:{course}", COURSE_FILE)

    def _read(
        self, course: str, about: About, author: Author, content: Content
    ) -> list[Read]:
        if about.schedules:
            self._check_author(about, author)
        return [self._one(course, x, author, content) for x in about.schedules]

    def _check_author(self, about: About, author: Author) -> None:
        """A service may publish, but has no home, and stands in no line."""
        people = {x.name for x in self._schedules.batch.broker.members()}
        if people and author.name not in people:
            raise BadCourseFile(about.at("schedules"), Text(
                "A course with schedules is published by a person: their runs are that person's."
            ))

    def _one(self, course: str, entry: Entry, author: Author, content: Content) -> Read:
        plan = replace(entry.plan, source=f"course:{course}")
        mine = replace(entry, user=author.name, plan=plan)

        def notebook(entry: Entry) -> dict[str, Any]:
            try:
                found: dict[str, Any] = json.loads(content(entry.notebook))
            except (LookupError, ValueError) as e:
                raise BadCourseFile(entry.at("notebook"), Text(
                    "There is no notebook {notebook} in the course.",
                    notebook=repr(entry.notebook[:100]),
                )) from e
            return found

        return taken(mine, notebook, COURSE_FILE)

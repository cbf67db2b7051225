"""Publishing on a floor: what tests of courses begin with."""

import json
import os
from collections.abc import Mapping

from hub.core.courses import Author, Release
from hub.core.roster import parse
from hub.courseschedules import CourseSchedules
from hub.publishing import Publishing
from hub.schedules import Schedules
from tests.edge.pushing import Work
from tests.face.running import NOTEBOOK
from tests.floor.desks import Clock
from tests.floor.floors import Floor

ROSTER = "name,group,role\nana,ml,student\nteacher,ml,instructor\nteacher,vision,instructor\n"
TOML = 'title = "Torch"\ngroup = "ml"\n'
TEACHER = Author("teacher", frozenset({"ml", "vision"}))
BOOK = json.dumps(NOTEBOOK).encode()
SCHEDULE = """
[[schedules]]
name = "nightly"
notebook = "a.ipynb"
cron = "0 2 * * *"
profile = "1g.5gb"
"""


class House:
    """Publishing on a floor, with a clock that is set."""

    def __init__(self, floor: Floor) -> None:
        floor.broker.set_members(parse(ROSTER, "roster"))
        floor.broker.tick()
        self.floor = floor
        self.clock = Clock()
        self.schedules = Schedules(floor.batch)
        self.publishing = Publishing(
            floor.broker, CourseSchedules(self.schedules), self.clock
        )

    def publish(
        self, files: Mapping[str, bytes] | None = None, toml: str = TOML, course: str = "torch",
        author: Author = TEACHER,
    ) -> Release:
        sent = {"course.toml": toml.encode(), **(files or {"a.ipynb": BOOK})}
        return self.publishing.publish(self.publishing.check(sent, author, course), "new things")

    def members(self, course: str = "torch") -> dict[str, bytes]:
        """What a member's clone would have."""
        work = Work(self.publishing.root.parent / f"clone-{os.urandom(4).hex()}")
        work("fetch", "-q", str(self.publishing.members_repo(course).path), "main")
        work("reset", "-q", "--hard", "FETCH_HEAD")
        return {
            str(x.relative_to(work.folder)): x.read_bytes()
            for x in work.folder.rglob("*") if x.is_file() and ".git" not in x.parts
        }

    def data(self, course: str = "torch") -> set[str]:
        """What containers see of the read-only data."""
        top = self.publishing.root.parent / "coursedata" / course
        return {str(x.relative_to(top)) for x in top.rglob("*") if x.is_file()}

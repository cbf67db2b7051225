"""An installation with short rules, for tests of the line: half a minute is a lesson there."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.workspace import Workspace, workspace

CARDS = json.dumps(["A100-40:3g.20gb,1g.5gb,1g.5gb"])
# `idle` is longer than the servers' half a minute between two reports
RULES = {
    "min_hold": "20", "notice": "15", "idle": "40", "margin": "5", "grace": "60", "entry": "1",
    "run_hold": "5", "timezone": "Asia/Seoul",
}


@contextmanager
def shortened(folder: Path, name: str, **rules: str) -> Iterator[Workspace]:
    """`teacher` teaches the course of student7 and student8; the others are in the group demo."""
    with workspace(folder, f"mt-{name}-{os.getpid()}", CARDS, **RULES | rules) as made:
        roster = folder / "with-course.csv"
        before = Path(made.environment["MADANG_ROSTER"]).read_text()
        roster.write_text(
            before + "teacher,course,instructor\nstudent7,course,student\n"
            "student8,course,student\n"
        )
        made.cli("roster", "load", str(roster))
        yield made

"""A course and its students, on a real store and real folders; releases come without git."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hub.core.courses import Course, FileFact, Handout, Release
from hub.core.roster import Member, Role
from hub.handout import Handouts
from hub.publishing import Publishing
from tests.floor.floors import Floor, floor_at
from tests.notebooks import code, notebook, text

COURSE, GROUP = "torch", "ai"
STUDENTS = ("minji", "bora")
UID = 1000


class Classroom:
    """One course. The test writes into homes as the students would."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.now = datetime.now(UTC)
        floor.broker.set_members((
            *(Member(x, GROUP, Role.STUDENT) for x in STUDENTS),
            Member("prof", GROUP, Role.INSTRUCTOR), Member("other", "elsewhere", Role.STUDENT),
        ))
        self.publishing = Publishing(floor.broker)
        self.handouts = Handouts(self.publishing, clock=lambda: self.now)
        self.store = self.publishing.store

    def publish(
        self, files: Mapping[str, Any], *, data: Mapping[str, bytes] | None = None,
        later: Mapping[str, timedelta] | None = None, course: str = COURSE,
    ) -> Release:
        """A release; a file is bytes, or the cells of a notebook."""
        facts = [
            FileFact(
                path, self.publishing.blobs.put(body), len(body), path.endswith(".ipynb"),
                path in (data or {}),
                self.now + later[path] if path in (later or {}) else None,
                path.endswith(".sh"),
            ) for path, x in {**files, **(data or {})}.items()
            for body in [x if isinstance(x, bytes) else dumped(*x)]
        ]
        return self.store.add_release(
            Course(course, course, GROUP, "UTC", self.now, "prof"),
            Release(course, 0, "c" * 40, "prof", self.now, "", tuple(facts)),
        )

    def folder(self, user: str = "minji", course: str = COURSE) -> Path:
        return self.floor.broker.edges.homes.path(user) / "courses" / course

    def hand_out(self, user: str = "minji", **rest: Any) -> Handout | None:
        return self.handouts.hand_out(user, COURSE, **rest)

    def given(self, user: str = "minji", **rest: Any) -> Handout:
        made = self.hand_out(user, **rest)
        assert made is not None
        return made

    def fates(self, user: str = "minji", **rest: Any) -> dict[str, str]:
        made = self.hand_out(user, **rest)
        return {} if made is None else fates(made)

    def put(self, path: str, content: Any, user: str = "minji") -> Path:
        """What a student saves; cells or bytes."""
        file = self.folder(user) / path
        for folder in reversed(file.relative_to(self.folder(user)).parents):
            (self.folder(user) / folder).mkdir(exist_ok=True)
            os.chown(self.folder(user) / folder, UID, UID)
        file.write_bytes(content if isinstance(content, bytes) else dumped(*content))
        os.chown(file, UID, UID)
        return file

    def edit(self, path: str, id: str, source: str, user: str = "minji") -> None:
        """A student changes a cell, in place as Jupyter does."""
        found = self.book(path, user)
        for cell in found["cells"]:
            if cell["id"] == id:
                cell["source"] = source
        (self.folder(user) / path).write_text(json.dumps(found, indent=1))

    def book(self, path: str, user: str = "minji") -> Any:
        return json.loads((self.folder(user) / path).read_bytes())

    def sources(self, path: str, user: str = "minji") -> dict[str, str]:
        return {x["id"]: "".join(x["source"]) for x in self.book(path, user)["cells"]}

    def files(self, user: str = "minji") -> dict[str, str]:
        """Path → text, or where a link points; backups left out."""
        top = self.folder(user)
        return {
            str(x.relative_to(top)): str(x.readlink()) if x.is_symlink() else x.read_text()
            for x in sorted(top.rglob("*"))
            if not x.is_dir() and ".course-backup" not in x.parts
        }

    def backups(self, user: str = "minji") -> dict[str, str]:
        top = self.folder(user) / ".course-backup"
        return {
            str(x.relative_to(top)): x.read_text() for x in sorted(top.rglob("*")) if x.is_file()
        }


def cells(**sources: str) -> tuple[dict[str, Any], ...]:
    """Cells as a release has them: `t…` is text, all else code."""
    return tuple(
        text(id, x) if id.startswith("t") else {**code(id, x), "execution_count": None}
        for id, x in sources.items()
    )


def dumped(*found: Any) -> bytes:
    laid = json.dumps(
        notebook(*found), indent=1, sort_keys=True, ensure_ascii=False, separators=(",", ": ")
    )
    return laid.encode() + b"\n"


def fates(made: Handout) -> dict[str, str]:
    return {x.path: str(x.fate) for x in made.files}


@contextmanager
def classroom_at(folder: Path, **changes: Any) -> Iterator[Classroom]:
    with floor_at(folder, **{"notebook_mib": 20} | changes) as floor:
        made = Classroom(floor)
        try:
            yield made
        finally:
            made.handouts.close()

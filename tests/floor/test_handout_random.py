"""Students who do anything, releases that change anything: nothing of the student's is ever lost.

The rules here are told in other words than the code has them: after each handout every text that
the student has written is somewhere in the folder or in its backups, every notebook of the release
can be opened, and an undo gives back, byte by byte, what there was.
"""

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.floor.classes import UID, Classroom, cells, classroom_at

USER = "minji"
PATHS = ("a.ipynb", "w/b.ipynb", "c.txt", "w/d.txt")
NUMBER = itertools.count()
text = st.integers(0, 5).map(lambda x: f"value_{x} = {x}")
book = st.dictionaries(st.sampled_from("abcdet"), text, min_size=1, max_size=5)
plain = st.sampled_from((b"one", b"two", b"three"))
release = st.fixed_dictionaries(
    {"keep.txt": plain},
    optional={x: book if x.endswith(".ipynb") else plain for x in PATHS},
)
edits = st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from((
    "edit", "edit", "edit", "delete", "empty", "run", "link", "copy", "break", "beside",
)), st.integers(0, 3)), max_size=4)
step = st.tuples(release, edits, st.sampled_from(("go on", "go on", "undo", "fresh", "button")))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    with classroom_at(tmp_path_factory.mktemp("random")) as made:
        yield made


class Student:
    """Does something to a file; remembers every text that is theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wrote: set[str] = set()

    def does(self, path: str, what: str, at: int) -> None:
        file = self.folder / path
        if what == "beside":
            file = file.with_name(f"{file.stem}.new{file.suffix}")
        if not os.path.lexists(file) or file.is_symlink():
            return
        if what == "delete":
            self._forgets(file)
            file.unlink()
        elif what == "empty":
            self._forgets(file)
            file.write_bytes(b"")
        elif what == "break":
            self._writes(file, f"{{ {self._new()}")
        elif what == "link":
            self._forgets(file)
            file.unlink()
            file.symlink_to("/etc/hostname")
        elif what == "copy":
            copy = file.with_name(f"own-{at}{file.suffix}")
            if not copy.exists():
                copy.write_bytes(file.read_bytes())
                os.chown(copy, UID, UID)
        elif file.suffix == ".ipynb":
            self._works(file, what, at)
        else:
            self._writes(file, self._new())

    def _works(self, file: Path, what: str, at: int) -> None:
        try:
            found = json.loads(file.read_bytes())
            cell = found["cells"][at % len(found["cells"])]
        except (ValueError, ZeroDivisionError):
            return
        if what == "run" and cell["cell_type"] == "code":
            cell["execution_count"] = 7
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "ran"}]
        else:
            self.wrote.discard(cell["source"])
            cell["source"] = self._new()
        file.write_text(json.dumps(found))

    def _writes(self, file: Path, said: str) -> None:
        self._forgets(file)
        file.write_text(said)
        self.wrote.add(said)

    def _forgets(self, file: Path) -> None:
        """What the student throws away is theirs to lose."""
        there = file.read_text()
        self.wrote = {x for x in self.wrote if x not in there}

    def _new(self) -> str:
        made = f"mine_{next(NUMBER)} = 1"
        self.wrote.add(made)
        return made


def tree(folder: Path) -> dict[str, str]:
    return {
        str(x.relative_to(folder)): f"-> {x.readlink()}" if x.is_symlink() else x.read_text()
        for x in sorted(folder.rglob("*"))
        if (x.is_symlink() or not x.is_dir()) and ".course-backup" not in x.parts
    }


def nothing_is_lost(folder: Path, student: Student, said: object) -> None:
    whole = "\n".join(x.read_text() for x in folder.rglob("*") if x.is_file())
    for line in student.wrote:
        assert line in whole, (line, said)
    in_place = "\n".join(tree(folder).values())
    for line in student.wrote:
        assert line in in_place, (line, "only in a backup", said)


def every_notebook_opens(folder: Path, said: object, broken: set[str]) -> None:
    for file in folder.rglob("*.ipynb"):
        if file.is_symlink() or str(file) in broken:
            continue
        found = json.loads(file.read_bytes())
        ids = [x["id"] for x in found["cells"]]
        assert len(set(ids)) == len(ids), (file, said)


def unreadable(folder: Path) -> set[str]:
    bad = set()
    for file in folder.rglob("*.ipynb"):
        try:
            json.loads(file.read_bytes())
        except (OSError, ValueError):
            bad.add(str(file))
    return bad


def body_of(wanted: dict[str, Any]) -> dict[str, Any]:
    return {k: x if isinstance(x, bytes) else cells(**x) for k, x in wanted.items()}


# an update that writes nothing and only tells that what the instructor took away stays
ONLY_TELLS: list[Any] = [
    ({"keep.txt": b"two", "a.ipynb": {"a": "value_0 = 0"}, "w/b.ipynb": {"a": "value_0 = 0"}},
     [("a.ipynb", "edit", 0), ("w/b.ipynb", "edit", 0)], "go on"),
    ({"keep.txt": b"two"}, [], "undo"),
]


@pytest.mark.timeout(400)  # sixty stories, each with hundreds of fsyncs
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@example(steps=ONLY_TELLS)
@given(steps=st.lists(step, min_size=3, max_size=5))
def test_nothing_of_a_student_s_is_ever_lost(room: Classroom, steps: list[Any]) -> None:
    course = f"r{next(NUMBER)}"
    folder = room.folder(course=course)
    student = Student(folder)
    for wanted, done, then in steps:
        room.publish(body_of(wanted), course=course)
        before, bad = tree(folder) if folder.exists() else {}, unreadable(folder)
        made = room.handouts.hand_out(USER, course, anyway=then == "button")
        nothing_is_lost(folder, student, made)
        every_notebook_opens(folder, made, bad)
        after = tree(folder)
        assert room.handouts.hand_out(USER, course) is None
        assert tree(folder) == after
        if then == "undo" and made is not None and made.files:
            room.handouts.undo(USER, course, made.update)
            assert tree(folder) == before
            assert room.handouts.hand_out(USER, course) is None
        elif then == "fresh":
            gone = tree(folder).get("a.ipynb", "")
            if "a.ipynb" in wanted and not gone.startswith("->"):
                room.handouts.fresh(USER, course, "a.ipynb")
                there = "\n".join(x.read_text() for x in folder.rglob("*") if x.is_file())
                assert all(x in there for x in student.wrote)
                student.wrote = {x for x in student.wrote if x not in gone}
        for path, what, at in done:
            student.does(path, what, at)

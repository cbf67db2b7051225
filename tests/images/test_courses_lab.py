"""What Lab says of courses, in Node: nothing here needs a browser."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.collecting import LEFT_OUT, TOO_LARGE
from hub.core.coursecells import cells_of, unmarked
from hub.core.courses import CellChange, Fate
from hub.face.programs import search_path
from tests.images.bench import PACKAGE
from tests.images.courseservice import collection_of

STATIC = PACKAGE / "madang" / "labextension" / "static"
WORDS = json.loads((STATIC / "words.json").read_text())


def play(module: str, expression: str, *given: Any) -> Any:
    """What an expression of the module's exports (`m`), the words (`say`) and `given` comes to."""
    script = f"""
    import * as m from '{(STATIC / module).as_uri()}';
    const [say, ...given] = JSON.parse(process.argv[1]);
    console.log(JSON.stringify({expression}) ?? 'null');
    """
    node = shutil.which("node", path=search_path())
    assert node
    done = subprocess.run(
        [node, "--input-type=module", "-e", script, json.dumps([WORDS["en"], *given])],
        text=True, check=False, capture_output=True, env={"TZ": "UTC"}, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def course(name: str, newest: int | None, *, behind: bool) -> dict[str, Any]:
    return {"name": name, "newest": newest, "mine": 1, "behind": behind}


def handout(*files: tuple[str, str], **rest: Any) -> dict[str, Any]:
    made = [{"path": path, "fate": fate, "said": f"<{fate}>", "cells": []} for path, fate in files]
    return {"course": "c", "update": 1, "release": 2, "undone_at": None, "files": made} | rest


@pytest.mark.parametrize(("courses", "waits", "text"), [
    ([], [], ""),
    ([course("a", 3, behind=False)], [], ""),
    ([course("a", 3, behind=True)], [], "a: update 3"),
    ([course("a", 3, behind=True), course("b", 9, behind=True)], [], "Courses: 2 updates"),
    ([course("a", None, behind=True)], [], ""),
    ([course("a", 3, behind=True)], [["a", {"release": 3, "paths": ["x"]}]],
     "a: update waits for an open file"),
    ([course("a", 4, behind=True)], [["a", {"release": 3, "paths": ["x"]}]], "a: update 4"),
    ([course("a", 3, behind=False)], [["a", {"release": 3, "paths": []}]], ""),
])
def test_the_item_is_quiet_unless_there_is_something_to_do(
    courses: list[Any], waits: list[Any], text: str
) -> None:
    assert play("coursetelling.js", "m.line(given[0], new Map(given[1]), say)",
                courses, waits) == text


@pytest.mark.parametrize(("left", "own", "kinds"), [
    (30 * 3600, {}, []), (23 * 3600, {}, ["soon"]), (3599, {}, ["last"]), (-5, {}, []),
    (-5, {"files": 2}, ["taken"]), (-5, {"files": 0}, ["nothing"]),
    (-5, {"problem": LEFT_OUT}, ["part"]), (-5, {"files": 0, "problem": TOO_LARGE}, ["nothing"]),
    (-3 * 86400, {"files": 2}, []),
    (-3 * 86400, {"returned_at": "2026-12-01T00:00:00Z"}, ["feedback"]),
    (-5, {"returned_at": "2026-12-01T00:00:00Z"}, ["feedback", "taken"]),
    (-5, {"returned_at": "2026-11-01T00:00:00Z"}, ["taken"]),
])
def test_what_is_said_of_a_collection(left: int, own: dict[str, Any], kinds: list[str]) -> None:
    now = datetime(2026, 12, 1, 1, tzinfo=UTC)
    one = collection_of("homework-of-week-1", now + timedelta(seconds=left), **own)
    found = play("coursehanding.js", "m.handing(given[0], given[1]).map(x => [x.kind, "
                 "m.sentence(x.kind, given[0], given[2], say, given[1], 'en')])",
                 one, now.timestamp(), "deep-learning-2026")
    assert [kind for kind, _ in found] == kinds
    for kind, text in found:
        assert text.startswith("deep-learning-2026, homework-of-week-1: ")
        assert len(text) <= 140, "Lab cuts the rest"
        assert "{" not in text
        assert "undefined" not in text
        assert ("Files: 2" in text) == (kind in ("taken", "part"))


def test_what_needs_a_look_comes_first_and_nothing_is_left_out() -> None:
    files = [(f"{x}.ipynb", str(x)) for x in Fate]
    found = play("coursetelling.js", "m.groups(given[0]).map(x => [x.fate, x.files.length])",
                 handout(*files, ("one.ipynb", "something-else")))
    assert [x for x, _ in found[:3]] == ["beside", "odd", "waiting"]
    assert sorted(x for x, _ in found) == sorted([*map(str, Fate), "something-else"])
    assert play("coursetelling.js", "m.summary(given[0], say)", handout(
        ("a", "updated"), ("b", "updated"), ("c", "beside"), ("d", "kept"),
    )) == "<beside>: 1, <updated>: 2"


def test_an_undo_closes_every_file_that_may_be_written() -> None:
    files = [(f"{x}.ipynb", str(x)) for x in Fate]
    written = play("coursetelling.js", "m.written(given[0])", handout(*files))
    untouched = {Fate.KEPT, Fate.WAITING}
    assert {x.removesuffix(".ipynb") for x in written} == {str(x) for x in Fate} - untouched
    assert play("coursetelling.js", "m.waiting(given[0])", handout(*files)) == ["waiting.ipynb"]
    assert play("coursetelling.js", "m.waiting(given[0])",
                handout(*files, undone_at="2026-01-01T00:00:00Z")) == []


def test_cells_are_counted_in_the_services_words() -> None:
    cells = [{"id": str(i), "fate": x, "said": f"<{x}>"}
             for i, x in enumerate((*CellChange, "beside"))]
    file = {"path": "a.ipynb", "note": "Note.", "beside": "a.release-2.ipynb", "cells": cells}
    said = play("coursetelling.js", "m.detail(given[0], say)", file)
    assert said.startswith("Note. The instructor's lies beside it as a.release-2.ipynb. Cells: ")
    assert "<beside> (2)" in said
    assert "<kept>" not in said


@pytest.mark.parametrize(("path", "time", "name"), [
    ("a/b.ipynb", 1, "a/b-mine.ipynb"), ("a/b.ipynb", 2, "a/b-mine-2.ipynb"),
    ("a.b/c", 1, "a.b/c-mine"), ("Makefile", 3, "Makefile-mine-3"),
])
def test_what_is_put_aside_gets_a_name_of_its_own(path: str, time: int, name: str) -> None:
    assert play("coursetelling.js", "m.aside(...given)", path, time) == name


# as hub.core.coursecells.marked writes them
MARKED = {"tags": ["x"], "madang": {
    "new_version_of": "a", "release": 3, "deleted": True, "other": 1,
    "held": {"nbgrader": {"grade": True}, "deletable": False},
}}


@pytest.mark.parametrize(("metadata", "plain"), [
    (MARKED, {"tags": ["x"], "madang": {"other": 1}, "nbgrader": {"grade": True},
              "deletable": False}),
    ({"madang": {"new_version_of": "a"}}, {}),
    ({"madang": {"new_version_of": "a", "held": 3}}, {}),
    ({"madang": {"new_version_of": 3}}, {"madang": {"new_version_of": 3}}),
    ({"madang": "x"}, {"madang": "x"}), ({}, {}),
])
def test_a_cell_that_is_taken_loses_the_mark_as_on_the_hub(
    metadata: dict[str, Any], plain: dict[str, Any]
) -> None:


    assert play("coursecells.js", "m.unmarked(given[0])", metadata) == plain
    [cell] = cells_of({"nbformat": 4, "cells": [
        {"id": "a-new", "cell_type": "code", "source": "", "metadata": metadata}]})
    assert unmarked(cell) == plain

"""Courses over HTTP: who may what, what a student is told, and what bad input comes to."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.face.courses import (
    FIRST,
    PWN,
    SECOND,
    book,
    call,
    cell,
    drafted,
    edited,
    file_of,
    packed,
    published,
    updated,
)
from tests.face.running import Running, error, running, until
from tests.face.test_report_api import SEALED, harmless, page

NOTEBOOK = "week1/tensors.ipynb"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two releases; ana changed what the instructor changed too, bo has the first one only."""
    folder = tmp_path_factory.mktemp("courses")
    with running(folder, snapshot_mib=5, timezone="Asia/Seoul") as made:
        # those who are away get it by the tick as well: here each gets it when the test says so
        made.app.state.attending._looked = float("inf")
        published(made, FIRST, "Week 1")
        for who in ("ana", "bo"):
            updated(made, who)
        edited(made, "ana", NOTEBOOK, cell("c1", "a = 99  # mine", 1))
        file_of(made, "ana", "week1/help.py").write_text("one = 99\n")
        published(made, SECOND, f"Week 2 {PWN}")
        updated(made, "ana")
        yield made


def one(service: Running, who: str, path: str, **rest: Any) -> Any:
    answer = call(service, who, "GET", path, **rest)
    assert answer.status_code == 200, answer.text
    return answer.json()


def standing(service: Running, who: str, course: str = "dl") -> Any:
    (found,) = (x for x in one(service, who, "") if x["name"] == course)
    return found


@pytest.fixture
def own(service: Running, request: pytest.FixtureRequest) -> str:
    """A course of the test's own, which bo has the first release of."""
    name = request.node.originalname.replace("_", "-").removeprefix("test-")[:40].strip("-")
    published(service, FIRST, course=name)
    updated(service, "bo", name)
    return str(name)


# ---- what members see -----------------------------------------------------------------------


def test_members_see_their_courses_and_where_they_stand(service: Running) -> None:
    mine = standing(service, "ana")
    assert (mine["name"], mine["role"], mine["newest"], mine["mine"]) == ("dl", "member", 2, 2)
    assert (mine["behind"], mine["conflicts"]) == (False, 2)
    bos = standing(service, "bo")
    assert (bos["mine"], bos["behind"], bos["conflicts"]) == (1, True, 0)
    assert one(service, "cho", "") == [], "of another group"
    assert standing(service, "teacher")["role"] == "instructor"
    assert standing(service, "operator")["role"] == "operator"


def test_a_course_says_its_releases(service: Running) -> None:
    found = one(service, "bo", "/dl")
    assert [(x["number"], x["files"], x["notebooks"]) for x in found["releases"]] == [
        (2, 3, 2), (1, 2, 1)]
    assert (found["folder"], found["git"]) == ("courses/dl", "git/dl.git")


def test_an_update_says_what_became_of_each_file(service: Running) -> None:
    last, first = one(service, "ana", "/dl/updates")
    fates = {x["path"]: (x["fate"], x["conflicts"], x["beside"]) for x in last["files"]}
    assert fates == {
        NOTEBOOK: ("beside", 1, ""), "week1/help.py": ("beside", 1, "week1/help.new.py"),
        "week2/cnn.ipynb": ("new", 0, ""),
    }
    assert {x["fate"] for x in first["files"]} == {"new"}
    assert one(service, "ana", f"/dl/updates/{last['update']}") == last
    korean = one(service, "ana", f"/dl/updates/{last['update']}", language="ko")
    assert {x["said"] for x in korean["files"]} == {"나란히 있음", "새 파일"}
    (book_,) = (x for x in last["files"] if x["path"] == NOTEBOOK)
    cells = {x["id"]: x["fate"] for x in book_["cells"]}
    assert (cells["c1"], cells["c2"]) == ("beside", "taken")


def test_what_an_update_changed_is_a_sealed_page(service: Running) -> None:
    update = one(service, "ana", "/dl/updates")[0]["update"]
    for path in (NOTEBOOK, "week2/cnn.ipynb", "week1/help.py"):
        answer = page(service, f"api/courses/dl/updates/{update}/diff?path={path}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-security-policy"] == SEALED
        harmless(answer.text)
    assert "b = 20" in page(
        service, f"api/courses/dl/updates/{update}/diff?path={NOTEBOOK}").text


# ---- what a student does ----------------------------------------------------------------------


def test_a_student_chooses_between_two_versions_of_a_cell(service: Running, own: str) -> None:
    body = {"path": NOTEBOOK, "cell": "c1", "take": "instructor"}
    error(call(service, "bo", "POST", f"/{own}/cells", json=body), 400, "no-new-version")
    edited(service, "bo", NOTEBOOK, cell("c1", "a = 5"), own)
    edited(service, "bo", NOTEBOOK, cell("c3", "c = 5"), own)
    published(service, FIRST | {NOTEBOOK: book("a = 100", "b = 20", "c = 30")}, course=own)
    assert updated(service, "bo", own)["conflicts"] == 2
    assert standing(service, "bo", own)["conflicts"] == 2
    made = call(service, "bo", "POST", f"/{own}/cells", json=body)
    assert made.json() == {"path": NOTEBOOK, "conflicts": 1}
    mine = body | {"cell": "c3", "take": "mine"}
    assert call(service, "bo", "POST", f"/{own}/cells", json=mine).json()["conflicts"] == 0
    cells = json.loads(file_of(service, "bo", NOTEBOOK, own).read_text())["cells"]
    assert [x["source"] for x in cells] == ["# Tensors", "a = 100", "b = 20", "c = 5"]
    assert standing(service, "bo", own)["conflicts"] == 0
    error(call(service, "bo", "POST", f"/{own}/cells", json=mine), 400, "no-new-version")


def test_an_update_is_undone_and_asked_for_again(service: Running, own: str) -> None:
    file = file_of(service, "bo", NOTEBOOK, own)
    edited(service, "bo", NOTEBOOK, cell("c2", "b = 'mine'"), own)
    before = file.read_bytes()
    published(service, FIRST | {NOTEBOOK: book("a = 1", "b = 2", "c = 3", "d = 1")}, course=own)
    made = updated(service, "bo", own)
    assert "d = 1" in file.read_text()
    undone = call(service, "bo", "POST", f"/{own}/updates/{made['update']}/undo")
    assert undone.status_code == 200, undone.text
    assert undone.json()["undone_at"]
    assert {x["said"] for x in undone.json()["files"]} == {"put back"}
    assert file.read_bytes() == before
    again = call(service, "bo", "POST", f"/{own}/updates/{made['update']}/undo")
    error(again, 409, "course-undo")
    assert updated(service, "bo", own)["release"] == made["release"]
    assert "d = 1" in file.read_text()
    assert updated(service, "bo", own) == {"nothing": True}


def test_a_fresh_copy_keeps_the_old_one(service: Running, own: str) -> None:
    file = file_of(service, "bo", "week1/help.py", own)
    file.write_text("spoiled\n")
    wanted = {"path": "week1/help.py"}
    made = call(service, "bo", "POST", f"/{own}/fresh", json=wanted).json()
    assert file.read_text() == "one = 1\n"
    assert ".course-backup" in made["files"][0]["note"]
    backups = file_of(service, "bo", ".course-backup", own).rglob("help*.py")
    assert "spoiled\n" in {x.read_text() for x in backups}
    again = call(service, "bo", "POST", f"/{own}/fresh", json=wanted)
    assert again.json() == {"nothing": True}


def test_what_is_open_in_lab_waits(service: Running, own: str) -> None:
    number = published(service, FIRST | {NOTEBOOK: book("a = 7")}, course=own)
    made = call(service, "bo", "POST", f"/{own}/update", json={"open": [NOTEBOOK]}).json()
    assert {x["path"]: x["fate"] for x in made["files"]}[NOTEBOOK] == "waiting"
    file = file_of(service, "bo", NOTEBOOK, own)
    assert "a = 7" not in file.read_text()
    assert updated(service, "bo", own)["release"] == number
    assert "a = 7" in file.read_text()


# ---- who may what -----------------------------------------------------------------------------

INSTRUCTORS = [
    ("GET", "/dl/students", None), ("DELETE", "/dl/releases/1", None),
    ("POST", "/drafts", {"course": "dl", "files": packed(FIRST)}),
    ("POST", "/drafts", {"course": "dl", "folder": "courses/dl"}),
    ("GET", "/drafts/0123456789abcdef", None), ("DELETE", "/drafts/0123456789abcdef", None),
    ("GET", "/drafts/0123456789abcdef/check", None),
    ("GET", "/drafts/0123456789abcdef/diff?path=x", None),
    ("POST", "/drafts/0123456789abcdef/check", {}),
    ("POST", "/drafts/0123456789abcdef/publish", {"notes": ""}),
]


@pytest.mark.parametrize(("method", "path", "body"), INSTRUCTORS)
@pytest.mark.parametrize("who", ["ana", "teacher-server"])
def test_a_student_and_a_servers_token_may_not(
    service: Running, who: str, method: str, path: str, body: Any
) -> None:
    message = error(call(service, who, method, path, json=body), 403, "not-allowed")
    assert ("MADANG_TOKEN" in message) == (who == "teacher-server")


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/dl"), ("GET", "/dl/updates"), ("GET", "/dl/updates/1"), ("POST", "/dl/update"),
    ("GET", f"/dl/updates/1/diff?path={NOTEBOOK}"), ("POST", "/dl/updates/1/undo"),
    ("POST", "/dl/fresh"), ("POST", "/dl/cells"), ("GET", "/dl/students"),
    ("DELETE", "/dl/releases/1"),
])
@pytest.mark.parametrize("who", ["cho", "service"])
def test_a_course_of_another_group_is_as_if_it_were_not(
    service: Running, who: str, method: str, path: str
) -> None:
    body = {"fresh": {"path": "x"}, "cells": {"path": "x", "cell": "c", "take": "mine"}}
    json_ = body.get(path.rpartition("/")[2], {} if method == "POST" else None)
    told = error(call(service, who, method, path, json=json_), 404, "not-found")
    none = call(service, who, method, path.replace("dl", "none"), json=json_)
    assert told.replace("dl", "none") == error(none, 404, "not-found")


def test_nobody_publishes_for_a_group_that_they_do_not_lead(service: Running) -> None:
    other = FIRST | {"course.toml": b'title = "x"\ngroup = "vision"\n'}
    made = drafted(service, other, "vision-course")
    assert not made["ok"]
    assert "vision" in made["problems"][0]["message"]
    error(call(service, "teacher", "POST", f"/drafts/{made['id']}/publish", json={}), 400, "course")
    stolen = drafted(service, other, "dl", who="operator")
    assert call(service, "teacher", "GET", f"/drafts/{stolen['id']}").status_code == 404


def test_who_is_nobody_is_sent_away(service: Running) -> None:
    with service.client(None) as http:
        for path in ("api/courses", "api/courses/dl", "api/courses/drafts"):
            answer = http.get(path) if "drafts" not in path else http.post(path, json={})
            assert answer.status_code == 401


@pytest.mark.parametrize(("path", "status"), [
    ("/../dl", 404), ("/DL", 422), ("/a%2fb", 404), ("/.drafts", 422), ("/dl/updates/0", 422),
    ("/dl/updates/99999", 404), ("/dl/updates/x", 422), ("/dl/updates/1/diff", 422),
    ("/dl/updates/1/diff?path=../../etc/passwd", 404), ("/dl/updates/1/diff?path=none", 404),
    ("/drafts/../dl", 403), ("/drafts/zz", 422), (f"/{'a' * 41}", 422),
])
def test_addresses_that_are_none(service: Running, path: str, status: int) -> None:
    assert call(service, "ana", "GET", path).status_code in {status, 404, 422, 200}
    assert call(service, "ana", "GET", path).status_code != 500


@pytest.mark.parametrize(("path", "body"), [
    ("/dl/fresh", {"path": "../../.bashrc"}), ("/dl/fresh", {"path": "/etc/passwd"}),
    ("/dl/fresh", {"path": ""}), ("/dl/fresh", {"path": "a\0b"}), ("/dl/fresh", {}),
    ("/dl/cells", {"path": "../../x.ipynb", "cell": "c1", "take": "mine"}),
    ("/dl/cells", {"path": NOTEBOOK, "cell": "none", "take": "mine"}),
    ("/dl/cells", {"path": NOTEBOOK, "cell": "c1", "take": "both"}),
    ("/dl/update", {"open": ["../x", "a" * 5000]}), ("/dl/update", {"open": "x"}),
    ("/dl/update", {"anyway": True}), ("/dl/updates/99/undo", {}),
])
def test_what_a_student_cannot_ask(service: Running, path: str, body: Any) -> None:
    answer = call(service, "ana", "POST", path, json=body)
    assert answer.status_code in {400, 404, 409, 422}, answer.text
    assert set(answer.json()) == {"error"}


# ---- for instructors ----------------------------------------------------------------------------


def test_the_members_table(service: Running) -> None:
    found = {x["user"]: x for x in one(service, "teacher", "/dl/students")}
    assert set(found) == {"ana", "bo"}, "students of the group, and nobody else"
    ana = found["ana"]
    assert (ana["behind"], ana["opened"], ana["conflicts"]) == (False, True, 2)
    assert (found["bo"]["behind"], found["bo"]["conflicts"]) == (True, 0)
    assert ana["executed"][NOTEBOOK] == {"run": 1, "cells": 3}


def test_a_draft_says_problems_by_file_and_line(service: Running) -> None:
    bad = dict(FIRST) | {
        "course.toml": b'title = "x"\ngroup = "ml"\nnonsense = 1\n',
        "week1/broken.ipynb": b'{"cells": [\n,', "../out.py": b"x",
    }
    made = drafted(service, bad)
    assert not made["ok"]
    found = {(x["path"], x["line"]) for x in made["problems"] if x["fatal"]}
    assert {("course.toml", 3), ("week1/broken.ipynb", 2)} <= found
    assert any(".." in x["path"] for x in made["problems"])
    error(call(service, "teacher", "POST", f"/drafts/{made['id']}/check", json={}),
          400, "bad-request")


@pytest.mark.parametrize(("body", "status"), [
    ({}, 400), ({"course": "dl", "files": "%%%"}, 400),
    ({"course": "dl", "files": "aGVsbG8="}, 400),
    ({"course": "../x", "files": packed(FIRST)}, 400), ({"files": packed(FIRST)}, 400),
    ({"course": "dl", "files": packed(FIRST), "folder": "dl"}, 400),
    ({"course": "dl", "folder": "none"}, 404), ({"course": "dl", "folder": "../ana"}, 400),
    ({"course": "dl", "folder": "/"}, 400),
    ({"course": "dl", "files": 5}, 422), ({"other": 1}, 422),
])
def test_what_is_no_draft(service: Running, body: Any, status: int) -> None:
    assert call(service, "teacher", "POST", "/drafts", json=body).status_code == status


def test_the_diff_of_a_draft_is_sealed(service: Running) -> None:
    made = drafted(service, SECOND | {"week2/cnn.ipynb": book(PWN, title=PWN)})
    answer = page(service, f"api/courses/drafts/{made['id']}/diff?path=week2/cnn.ipynb", "teacher")
    assert answer.headers["content-security-policy"] == SEALED
    harmless(answer.text)
    none = call(service, "teacher", "GET", f"/drafts/{made['id']}/diff?path=none")
    error(none, 404, "not-found")


def test_each_notebook_of_a_draft_is_run_and_the_failing_cell_is_told(service: Running) -> None:
    made = drafted(service, SECOND)
    path = f"/drafts/{made['id']}/check"
    assert one(service, "teacher", path) == {"done": True, "ok": False, "checks": []}
    begun = call(service, "teacher", "POST", path, json={})
    assert begun.status_code == 201, begun.text
    runs = {x["path"]: x["run"] for x in begun.json()["checks"]}
    assert set(runs) == {NOTEBOOK, "week2/cnn.ipynb"}
    until(lambda: all(x in service.engine.found for x in runs.values()), "both run")
    good, bad = runs[NOTEBOOK], runs["week2/cnn.ipynb"]
    service.engine.files[bad, "run.json"] = json.dumps({
        "id": bad, "attempt": 1, "error": {
            "cell": 2, "ename": "NameError", "evalue": PWN, "lines": ["one", "two"]},
    }).encode()
    service.engine.exit(good, 0)
    service.engine.exit(bad, 1)
    until(lambda: one(service, "teacher", path)["done"], "both have ended")
    found = one(service, "teacher", path)
    told = {x["path"]: (x["ok"], x["cell"], x["lines"]) for x in found["checks"]}
    assert told == {NOTEBOOK: (True, None, []), "week2/cnn.ipynb": (False, 2, ["one", "two"])}
    assert not found["ok"]


def test_a_withdrawn_release_is_handed_out_to_nobody(service: Running, own: str) -> None:
    number = published(service, FIRST | {"late.txt": b"late\n"}, course=own)
    assert call(service, "teacher", "DELETE", f"/{own}/releases/{number}").json()["withdrawn"]
    assert one(service, "bo", f"/{own}")["newest"] == 1
    assert updated(service, "bo", own) == {"nothing": True}
    assert call(service, "teacher", "DELETE", f"/{own}/releases/7").status_code == 404

"""The pages of courses, and of drafts: what is in them, for whom, and that nothing runs."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.face.courses import (
    FIRST,
    PWN,
    SECOND,
    call,
    cell,
    drafted,
    edited,
    published,
    updated,
)
from tests.face.running import PREFIX, Running, running
from tests.face.test_courses_api import NOTEBOOK, one
from tests.face.test_report_api import harmless, page


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """ana and bo have the first release; ana changed it, and got the second."""
    with running(tmp_path_factory.mktemp("courses"), snapshot_mib=5) as made:
        made.app.state.attending._looked = float("inf")
        published(made, FIRST, "Week 1")
        for who in ("ana", "bo"):
            updated(made, who)
        edited(made, "ana", NOTEBOOK, cell("c1", "a = 99  # mine", 1))
        published(made, SECOND, f"Week 2 {PWN}")
        updated(made, "ana")
        yield made


@pytest.mark.parametrize("path", [
    "courses", "courses/dl", f"courses/dl/file?path={NOTEBOOK}",
    f"courses/dl/updates/2?path={NOTEBOOK}", "courses/dl/updates/2?path=week2/cnn.ipynb",
])
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("who", ["ana", "teacher"])
def test_pages_let_nothing_of_a_notebook_run(
    service: Running, path: str, language: str, who: str
) -> None:
    answer = page(service, path, who, **{"Accept-Language": language})
    own = who == "ana" or path in {"courses", "courses/dl"} or "file" in path
    assert answer.status_code == (200 if own else 404), answer.text
    assert answer.headers["content-language"] == language
    if own:
        assert "unsafe" not in answer.headers["content-security-policy"]
        harmless(answer.text)


def test_students_read_no_other_names_and_instructors_those_of_their_students(
    service: Running
) -> None:
    for seen in (page(service, "courses/dl", "ana").text, json.dumps(one(service, "ana", "/dl"))):
        assert not re.search(r"\bbo\b", seen)
    html = page(service, "courses/dl", "teacher").text
    assert ">ana<" in html
    assert ">bo<" in html
    assert page(service, "courses/dl", "cho").status_code == 404


def test_the_page_of_a_draft(service: Running) -> None:
    made = drafted(service, SECOND | {"new.py": b"x\n"})
    for path in ("", "/file?path=new.py"):
        answer = page(service, f"courses/drafts/{made['id']}{path}", "teacher")
        assert answer.status_code == 200, answer.text
        harmless(answer.text)
        assert page(service, f"courses/drafts/{made['id']}{path}", "ana").status_code == 403


def test_the_board_leads_to_the_courses(service: Running) -> None:
    assert f'href="{PREFIX}courses"' in page(service, "").text


def test_the_page_says_where_a_student_stands_after_choices_and_a_withdrawal(
    service: Running,
) -> None:
    published(service, FIRST, course="own")
    updated(service, "bo", "own")
    edited(service, "bo", NOTEBOOK, cell("c1", "a = 99"), "own")
    published(service, SECOND, course="own")
    updated(service, "bo", "own")
    assert "and you choose." in page(service, "courses/own", "bo").text
    wanted = {"path": NOTEBOOK, "cell": "c1", "take": "mine"}
    assert call(service, "bo", "POST", "/own/cells", json=wanted).json()["conflicts"] == 0
    seen = page(service, "courses/own", "bo").text
    assert "and you choose." not in seen
    assert "you have chosen." in seen
    call(service, "bo", "POST", "/own/fresh", json={"path": NOTEBOOK})
    seen = page(service, "courses/own", "bo").text
    assert "A fresh copy; yours lies in" in seen
    assert "You had not changed it" not in seen.split("A fresh copy;")[0].rsplit("<li", 1)[-1]
    assert call(service, "teacher", "DELETE", "/own/releases/2").status_code == 200
    assert "You have release 2, which was withdrawn" in page(service, "courses/own", "bo").text
    assert call(service, "teacher", "DELETE", "/own/releases/1").status_code == 200
    seen = page(service, "courses/own", "bo").text
    assert "it stays until a newer one comes." in seen
    assert "No release yet" not in seen

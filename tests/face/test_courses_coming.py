"""What the next update would bring, by name; what is said where too many look at drafts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub import drafts
from hub.face import api_courses
from tests.face.courses import FIRST, SECOND, call, drafted, published, updated
from tests.face.running import Running, error, running
from tests.face.test_courses_api import NOTEBOOK, one


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, snapshot_mib=5) as made:
        # those who are away get it by the tick as well: here each gets it when the test says so
        made.app.state.attending._looked = float("inf")
        yield made


def test_a_course_says_which_files_the_next_update_would_bring(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(service, FIRST)
    updated(service, "bo")

    def coming(who: str) -> tuple[list[tuple[str, str]], int]:
        found = one(service, who, "/dl")
        return [(x["path"], x["change"]) for x in found["coming"]], found["coming_more"]

    assert coming("bo") == ([], 0)
    assert coming("ana") == ([("week1/help.py", "new"), (NOTEBOOK, "new")], 0)
    assert coming("operator") == ([], 0), "it is not handed out to them"
    files = {k: x for k, x in SECOND.items() if k != "week1/help.py"}
    published(service, files)
    assert coming("bo") == ([
        ("week1/help.py", "gone"), (NOTEBOOK, "changed"), ("week2/cnn.ipynb", "new")], 0)
    monkeypatch.setattr(api_courses, "_SHOWN", 1)
    assert coming("bo") == ([("week1/help.py", "gone")], 2)
    updated(service, "bo")
    assert coming("bo") == ([], 0)
    assert call(service, "teacher", "DELETE", "/dl/releases/2").status_code == 200
    assert coming("bo") == ([], 0), "who has it keeps it"


def test_who_comes_when_many_look_at_drafts_is_told_when_to_come_again(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = drafted(service, FIRST)["id"]
    monkeypatch.setattr(drafts, "_WAIT", 0.05)
    turn = service.app.state.courses.drafts._turn
    for _ in range(2):
        turn.acquire()
    answer = call(service, "teacher", "GET", f"/drafts/{id}/diff?path=week1/help.py")
    assert "being looked at just now" in error(answer, 429, "busy")
    assert int(answer.headers["retry-after"]) > 0
    page = call(service, "teacher", "GET", f"/drafts/{id}", language="ko")
    assert "초안을 보는 사람이 많습니다" in error(page, 429, "busy")
    for _ in range(2):
        turn.release()
    assert call(service, "teacher", "GET", f"/drafts/{id}").status_code == 200

"""Handing in, from the command line against the real service: who may what, and what is told."""

import os
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.face.courses import FIRST, call, file_of, published, updated
from tests.face.running import Running, running
from tests.images.test_cli_courses import asked
from tests.images.test_cli_courses import call as asks


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(
        tmp_path_factory.mktemp("collect"), snapshot_mib=5, timezone="Asia/Seoul"
    ) as made:
        made.app.state.attending._looked = float("inf")
        published(made, FIRST, "Week 1")
        updated(made, "ana")
        yield made


said = partial(asked, who="teacher")


def hands_in(service: Running, who: str, path: str, text: str) -> None:
    file = file_of(service, who, path)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    for each in (file, file.parent):
        os.chown(each, 1000, 1000)  # as its owner would have made it


def test_collected_downloaded_graded_and_returned(service: Running, tmp_path: Path) -> None:
    hands_in(service, "ana", "hw1/answer.txt", "42")
    planned = said(service, "collect", "dl", "hw1", "--due", "2027-01-08T18:00")
    assert (planned["due"], planned["taken_at"]) == ("2027-01-08T09:00:00Z", None)
    made = said(service, "collect", "dl", "hw1")
    assert made["taken_at"]
    assert {x["user"]: x["files"] for x in made["submissions"]} == {"ana": 1, "bo": 0}
    hands_in(service, "ana", "hw1/answer.txt", "43")
    out = tmp_path / "hw1.tar.gz"
    done = asks(service, "collected", "dl", "hw1", "-o", out)
    assert (done.returncode, done.stdout) == (0, f"{out}: 1 students\n"), done.stderr
    with tarfile.open(out) as tar:
        assert tar.extractfile("ana/hw1/answer.txt").read() == b"42"  # type: ignore[union-attr]
    graded = tmp_path / "graded"
    (graded / "ana" / "hw1").mkdir(parents=True)
    (graded / "ana" / "hw1" / "answer.html").write_text("good")
    done = asks(service, "feedback", "dl", "hw1", graded)
    assert done.returncode == 0, done.stderr
    assert file_of(service, "ana", "feedback/hw1/answer.html").read_text() == "good"
    said(service, "collect", "dl", "hw1", "--again", "ana")
    shown = asks(service, "collected", "dl", "hw1", LANG="ko_KR.UTF-8").stdout
    assert "아무것도 없었습니다" in shown
    rows = [x.split() for x in asks(service, "collections", "dl").stdout.splitlines()[1:]]
    assert ["hw1", "hw1"] in [x[:2] for x in rows]


def test_students_see_their_own_and_may_nothing_else(
    service: Running, tmp_path: Path
) -> None:
    said(service, "collect", "dl", "seen", "week1")
    (one,) = (x for x in said(service, "collections", "dl", who="ana") if x["name"] == "seen")
    assert [x["user"] for x in one["submissions"]] == ["ana"]
    for words in (
        ("collect", "dl", "mine"), ("collect", "dl", "seen", "--again", "ana"),
        ("collect", "dl", "seen", "--drop"), ("collected", "dl", "seen", "-o", tmp_path / "x"),
    ):
        done = asks(service, *words, who="ana")
        assert (done.returncode, done.stderr) == (
            2, "madang: Only an instructor of the course can do this.\n")
    for verb, path in (("GET", ""), ("GET", "/seen/archive"), ("DELETE", "/seen")):
        answer = call(service, "cho", verb, f"/dl/collections{path}")
        assert answer.status_code == 404, "of another group"


@pytest.mark.parametrize(("words", "why"), [
    (("collect", "dl", "../x"), "A collection's name"),
    (("collect", "dl", "x", "../.."), "Name a folder in the course's folder"),
    (("collect", "dl", "x", "--due", "soon"), "is no time"),
    (("collect", "dl", "x", "--due", "2020-01-01T00:00"), "in the past"),
    (("collect", "nope", "x"), "There is no course"),
    (("collect", "dl", "nope", "--drop"), "collects nothing"),
    (("collected", "dl", "nope"), "collects nothing"),
    (("feedback", "dl", "nope", "/nowhere"), "there is no folder /nowhere"),
    (("collect", "dl", "x", "--drop", "--again", "ana"), "one of --again and --drop"),
])
def test_a_mistake_is_one_line(service: Running, words: tuple[str, ...], why: str) -> None:
    done = asks(service, *words)
    assert done.returncode == 2, done.stdout
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_feedback_that_is_no_archive_is_refused(service: Running) -> None:
    said(service, "collect", "dl", "sent", "week1")
    for files in ("%%", "aGVsbG8="):
        answer = call(service, "teacher", "POST", "/dl/collections/sent/feedback",
                      json={"files": files})
        assert (answer.status_code, answer.json()["error"]["reason"]) == (400, "snapshot")

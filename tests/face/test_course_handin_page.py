"""Handing in on a course's page: what instructors see of everybody, and a student of the own."""

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from hub.edge.coursetables import courses
from tests.face.courses import FIRST, PWN, TOML, call, packed, published
from tests.face.running import PREFIX, Running, running
from tests.face.test_report_api import harmless, page

AWAY = TOML + b'zone = "America/New_York"\n'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Of hw1 two files of ana's were collected and a link left out, of bo nothing; hw2 comes."""
    with running(tmp_path_factory.mktemp("courses"), snapshot_mib=5) as made:
        made.app.state.attending._looked = float("inf")
        published(made, FIRST | {"course.toml": AWAY})
        saved(made, "ana", "hw1/a.txt")
        saved(made, "ana", "hw1/b.txt")
        saved(made, "ana", "hw1/link", link=True)
        planned(made, "hw1")
        planned(made, "hw2", due="2027-01-04T18:00")
        yield made


def saved(service: Running, who: str, path: str, *, link: bool = False) -> None:
    home = service.broker.edges.homes.ensure(who)
    file = home / "courses" / "dl" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if link:
        file.symlink_to("/etc/passwd")
    else:
        file.write_text("mine")
    for one in (file, *file.parents[:-len(home.parents) - 1]):
        os.chown(one, 1000, 1000, follow_symlinks=False)


def planned(service: Running, name: str, path: str = "", due: str = "") -> dict[str, Any]:
    made = call(service, "teacher", "POST", "/dl/collections",
                json={"name": name, "path": path or name, "due": due})
    assert made.status_code == 201, made.text
    return dict(made.json())


def html(service: Running, who: str, language: str = "en") -> str:
    """The section; "" where there is none."""
    answer = page(service, "courses/dl", who, **{"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    harmless(answer.text)
    found = re.search(
        r'<section[^>]*aria-labelledby="handing-in-title".*?</section>', answer.text, re.DOTALL)
    return found[0] if found else ""


def rows(text: str) -> list[str]:
    """Each row of its tables as it reads."""
    return [read(x) for x in re.findall(r"<tr>.*?(?=<tr[ >]|</table>)", text, re.DOTALL)]


def read(text: str) -> str:
    """Without its markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


@pytest.mark.parametrize("who", ["teacher", "operator"])
def test_who_leads_reads_what_was_taken_of_each_student(service: Running, who: str) -> None:
    seen = html(service, who)
    first = next(x for x in rows(seen) if x.startswith("hw1 "))
    assert "1 of 2" in first
    assert "Download" in first
    assert "Drop" not in first
    ana, bo = (next(x for x in rows(seen) if x.startswith(f"{y} ")) for y in ("ana", "bo"))
    assert ana.startswith("ana 2 links, special files and files of others were left out")
    assert bo.startswith("bo 0 nothing was there")
    assert "Collect again" in bo
    assert "teacher" not in " ".join(rows(seen)), "instructors hand nothing in"


def test_what_is_planned_has_its_time_in_the_courses_zone(service: Running) -> None:
    for who in ("teacher", "ana"):
        seen = html(service, who)
        second = next(x for x in rows(seen) if x.startswith("hw2 "))
        assert "2027-01-04 18:00" in second
        assert "planned" in second
        assert "America/New_York" in seen
    assert "Drop" in next(x for x in rows(html(service, "teacher")) if x.startswith("hw2 "))


def test_a_student_reads_the_own_and_of_nobody_else(service: Running) -> None:
    ana, bo = html(service, "ana"), html(service, "bo")
    assert "2 links, special files and files of others were left out" in " ".join(rows(ana))
    assert "0 nothing was there" in " ".join(rows(bo))
    for seen in (ana, bo):
        assert "courses/dl/hw1" in seen
        assert not re.search(r"\bof 2\b|<form|<button|archive|\bbo\b", seen)
    assert not re.search(r"\bana\b", bo)


def test_feedback_is_told_to_who_may_look_for_it(service: Running) -> None:
    assert "feedback" not in html(service, "ana").lower()
    made = call(service, "teacher", "POST", "/dl/collections/hw1/feedback",
                json={"files": packed({"ana/grade.html": b"A"})})
    assert made.status_code == 200, made.text
    assert "courses/dl/feedback/hw1" in html(service, "ana")
    assert "It is in courses/dl/feedback/hw1" in html(service, "ana")
    assert "Yours, if there is any" in html(service, "bo")
    assert "feedback returned" in html(service, "teacher")
    [one, *_] = call(service, "bo", "GET", "/dl/collections").json()
    assert [(x["user"], x["returned_at"]) for x in one["submissions"]] == [("bo", None)]
    assert one["yours"]
    [one, *_] = call(service, "teacher", "GET", "/dl/collections").json()
    assert not one["yours"]
    [one, *_] = call(service, "ana", "GET", "/dl/collections").json()
    assert one["submissions"][0]["returned_at"] == one["feedback_at"]


def test_the_section_in_korean(service: Running) -> None:
    for who in ("teacher", "ana"):
        seen = read(html(service, who, "ko"))
        known = {"homework", "America", "New", "York", "student", "grade", "html", "feedback",
                 "madang", "course", "courses", "graded", "teacher"}
        assert not set(re.findall(r"[A-Za-z]{4,}", seen)) - known


def test_the_archive_is_where_the_page_links_to(service: Running) -> None:
    address = re.search(r'download href="([^"]+)"', html(service, "teacher"))
    assert address
    assert address[1] == f"{PREFIX}api/courses/dl/collections/hw1/archive"
    with service.client() as http:
        http.cookies.set("service-madang", "t-teacher")
        answer = http.get(address[1].removeprefix(PREFIX))
        assert answer.headers["content-type"] == "application/gzip"


def test_a_course_that_collects_nothing(service: Running) -> None:
    published(service, FIRST, course="other")
    answer = page(service, "courses/other", "teacher").text
    assert "Nothing is collected yet." in answer
    assert 'data-collect="courses/other/collections"' in answer
    assert "handing-in-title" not in page(service, "courses/other", "ana").text


def test_a_folder_of_any_name_is_text(service: Running) -> None:
    planned(service, "odd", PWN.replace("/", ""), due="2027-02-01T10:00")
    for who in ("teacher", "ana"):
        assert "&lt;img src=x" in html(service, who)
    call(service, "teacher", "DELETE", "/dl/collections/odd")


def test_a_zone_that_the_machine_lost_leaves_the_page(service: Running) -> None:
    def move(zone: str) -> None:
        service.broker.edges.store.change_beside(lambda c: c.execute(
            sa.update(courses).where(courses.c.name == "dl").values(zone=zone)))

    move("Nowhere/Lost")
    try:
        assert f"Times in {service.settings.timezone}" in html(service, "teacher")
    finally:
        move("America/New_York")
    assert "America/New_York" in html(service, "teacher")


def test_who_left_the_group_is_shown_and_not_collected_again(service: Running) -> None:
    everybody = service.broker.members()
    service.broker.set_members(tuple(x for x in everybody if x.name != "bo"))
    try:
        bo = next(x for x in rows(html(service, "teacher")) if x.startswith("bo "))
    finally:
        service.broker.set_members(everybody)
    assert "Collect again" not in bo

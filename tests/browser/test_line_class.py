"""An instructor reserves on the board, and the class gets in."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import shot
from tests.browser.shortened import shortened
from tests.workspace import Workspace, wait_for

Person = Callable[..., Page]
pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("nobody_left")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with shortened(tmp_path_factory.mktemp("class"), "class") as made:
        yield made


def test_an_instructor_reserves_and_the_class_gets_in(place: Workspace, person: Person) -> None:
    outsiders = [place.student(f"student{i}") for i in (1, 2)]
    for one in outsiders:
        one.start("1g.5gb")
    for one in outsiders:
        wait_for(one.ready, timeout=120)
    teacher = person("teacher")
    teacher.goto("/services/madang/")
    teacher.get_by_role("button", name=re.compile("^Reserve")).first.click()
    form = teacher.locator("dialog[open]")
    begins = datetime.now(UTC) + timedelta(hours=9, minutes=1, seconds=30)
    form.get_by_label("Group").select_option("course")
    form.get_by_label("Size").select_option("1g.5gb")
    form.get_by_label("How many").fill("2")
    form.get_by_label("Once").check()
    form.get_by_label("Begins").fill(begins.strftime("%Y-%m-%dT%H:%M"))
    form.get_by_label("Ends").fill((begins + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"))
    expect(form.get_by_role("status")).to_contain_text("fits")
    shot(teacher, "line-reserve")
    form.get_by_role("button", name="Save").click()
    expect(teacher.locator("#reservations")).to_contain_text("course")
    shot(teacher, "line-calendar")
    made = place.rest("GET", "reservations").json()["reservations"][0]

    # whoever is in the way is told, and out before the class begins
    begin = datetime.fromisoformat(made["next"]["begins"])
    wait_for(lambda: not any(x.ready() for x in outsiders), timeout=180, every=1)
    assert datetime.now(UTC) < begin + timedelta(seconds=20)
    wait_for(lambda: datetime.now(UTC) >= begin, timeout=60)
    late = place.student("student3")
    late.start("1g.5gb")
    members = [place.student(f"student{i}") for i in (7, 8)]
    for one in members:
        one.start("1g.5gb")
    for one in members:
        wait_for(one.ready, timeout=120, why="a member in its class")
    line = place.rest("GET", "line").json()
    assert [x["user"] for x in line] == ["student3"]
    assert line[0]["reason"]
    place.rest("DELETE", f"reservations/{made['id']}")

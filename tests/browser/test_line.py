"""The line as people meet it: turns, countdowns, a class, an open tab and a silent training cell.

One installation with short rules: a slice is promised for half a minute, and who is asked gives it
back within twenty seconds.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import shot
from tests.browser.test_student import choose, held, inside, lab
from tests.workspace import Workspace, wait_for, workspace

Person = Callable[..., Page]
CARDS = json.dumps(["A100-40:3g.20gb,1g.5gb,1g.5gb"])
RULES = {
    "min_hold": "30", "notice": "20", "idle": "45", "margin": "5", "grace": "60", "entry": "1",
    "run_hold": "5", "timezone": "Asia/Seoul",
}
pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("nobody_left")]
# a kernel that is told to do something long and say nothing, by nobody whose tab stays open
SILENT = """
import asyncio, json, os, uuid
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect
base = f"127.0.0.1:8888{os.environ['JUPYTERHUB_SERVICE_PREFIX']}api/kernels"
head = {"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]}
async def main():
    made = await AsyncHTTPClient().fetch(HTTPRequest(f"http://{base}", "POST", head, body="{}"))
    id = json.loads(made.body)["id"]
    ws = await websocket_connect(HTTPRequest(f"ws://{base}/{id}/channels", headers=head))
    await ws.write_message(json.dumps({"channel": "shell", "header": {
        "msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "s",
        "username": "u", "version": "5.3"}, "parent_header": {}, "metadata": {}, "content": {
        "code": "import time; time.sleep(600)", "silent": False, "store_history": False,
        "user_expressions": {}, "allow_stdin": False}}))
    await asyncio.sleep(2)
    ws.close()
asyncio.run(main())
print("begun")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("line")
    with workspace(folder, f"mt-line-{os.getpid()}", CARDS, **RULES) as made:
        # student7 and student8 are in a course of their own, which "teacher" teaches
        roster = folder / "with-course.csv"
        before = Path(made.environment["MADANG_ROSTER"]).read_text()
        roster.write_text(
            before + "teacher,course,instructor\nstudent7,course,student\nstudent8,course,student\n"
        )
        made.cli("roster", "load", str(roster))
        yield made


def waiting(page: Page) -> Any:
    return page.locator("#progress-message")


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_three_students_and_one_slice(place: Workspace, person: Person, locale: str) -> None:
    """Order kept, a range told, a countdown, given back by hand, the next one in."""
    korean = locale == "ko-KR"
    first, second, third = (person(f"student{i}", locale=locale) for i in (1, 2, 3))
    choose(first, "3g.20gb")
    lab(first)
    choose(second, "3g.20gb")
    expect(waiting(second)).to_contain_text("1", timeout=30_000)
    choose(third, "3g.20gb")
    expect(waiting(third)).to_contain_text("2", timeout=30_000)
    # when it will come, as a range
    told = re.compile(r"\d\d:\d\d.*\d\d:\d\d", re.DOTALL)
    expect(waiting(third)).to_contain_text(told, timeout=30_000)
    shot(third, f"line-pending-{locale[:2]}")
    line = place.rest("GET", "line").json()
    assert [x["user"] for x in line] == ["student2", "student3"]
    assert all(x["eta_earliest"] and x["eta_latest"] for x in line)

    # after the promise the first one is told, in Lab and on the board
    item = first.locator("#madang-slice")
    expect(item).to_have_attribute("data-kind", "notice", timeout=90_000)
    expect(item).to_contain_text(re.compile(r"\d\d:\d\d"))
    shot(first, f"line-countdown-{locale[:2]}")
    board = first.context.new_page()
    board.goto("/services/madang/")
    expect(board.locator("#mine .notice .clock")).to_be_visible(timeout=30_000)
    shot(board, f"line-board-{locale[:2]}")
    assert "student2" not in board.content()
    board.close()

    give_back = "저장" if korean else "Save and give back"
    first.locator(".Toastify__toast").get_by_role("button", name=give_back).first.click()
    first.locator(".jp-Dialog").get_by_role("button", name=re.compile(give_back)).click()
    lab(second)
    expect(second.locator("#madang-slice")).to_contain_text("3g.20gb")
    wait_for(lambda: [x["user"] for x in place.rest("GET", "line").json()] == ["student3"])
    expect(waiting(third)).to_contain_text("1", timeout=30_000)

    # the second one does nothing, and is out when the countdown is over
    lab(third)
    ended = place.rest("GET", "leases?all=1").json()
    mine = next(x for x in ended if x["user"] == "student2")
    assert mine["cause"]
    second.goto("/hub/home")


def test_an_open_tab_is_reclaimed_and_a_silent_cell_is_not(
    place: Workspace, person: Person
) -> None:
    idle, busy = person("student1"), place.student("student2")
    choose(idle, "1g.5gb")
    lab(idle)
    busy.start("1g.5gb")
    wait_for(busy.ready, timeout=120)
    container = next(c for c in place.containers() if c.labels["madang.user"] == "student2")
    said = container.exec_run(["/opt/madang/venv/bin/python", "-c", SILENT]).output.decode()
    assert "begun" in said, said

    def is_idle(user: str) -> bool:
        since = held(place, user)["idle_since"]
        return bool(since) and datetime.now(UTC) - datetime.fromisoformat(since) > timedelta(
            seconds=float(RULES["idle"]))

    wait_for(lambda: is_idle("student1"), timeout=150, every=2, why="the open tab is idle")
    assert not is_idle("student2")
    third = place.student("student3")
    third.start("1g.5gb")
    wait_for(lambda: held(place, "student1")["notice"] == "idle", timeout=30)
    assert held(place, "student2")["notice"] is None
    wait_for(third.ready, timeout=120, why="the one who waited got the idle one's slice")
    assert busy.ready()
    idle.goto("/hub/spawn/student1?next=x")
    expect(idle.locator("body")).to_contain_text(re.compile("1g.5gb"), timeout=30_000)


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
    begins = datetime.now(UTC) + timedelta(hours=9, minutes=2)
    form.get_by_label("Group").select_option("course")
    form.get_by_label("Size").select_option("1g.5gb")
    form.get_by_label("How many").fill("2")
    form.get_by_label("Once").check()
    form.get_by_label("Begins").fill(begins.strftime("%Y-%m-%dT%H:%M"))
    form.get_by_label("Ends").fill((begins + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"))
    expect(form.get_by_role("status")).to_contain_text("fits", timeout=15_000)
    shot(teacher, "line-reserve")
    form.get_by_role("button", name="Save").click()
    expect(teacher.locator("#reservations")).to_contain_text("course", timeout=30_000)
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


def test_a_run_gives_way_and_is_done_all_the_same(place: Workspace) -> None:
    """Preempted, saved, back in the line with its age, and finished on its second attempt."""
    first = place.student("student1")
    first.start("cpu")
    wait_for(first.ready, timeout=120)
    inside(place, "student1", "cd && madang run submit notebooks/nightly/digits-cnn.ipynb "
           "-p epochs=60 --profile 3g.20gb --detach >/tmp/said 2>&1 || true")
    runs = place.rest("GET", "runs").json()
    if not runs:
        pytest.fail(inside(place, "student1", "cat /tmp/said"))
    wait_for(lambda: place.rest("GET", "runs").json()[0]["stage"] == "running", timeout=90)
    second = place.student("student2")
    second.start("3g.20gb")
    wait_for(second.ready, timeout=180, why="the run gave way")
    run = place.rest("GET", "runs").json()[0]
    assert run["stage"] == "waiting", run
    second.stop()
    wait_for(
        lambda: place.rest("GET", "runs").json()[0]["stage"] == "succeeded", timeout=240, every=1,
        why="the second attempt",
    )

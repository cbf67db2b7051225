"""Who is not at work is the first to give back; a run always gives way, and is done later."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.shortened import RULES, shortened
from tests.browser.test_student import choose, held, inside, lab
from tests.workspace import Workspace, wait_for

Person = Callable[..., Page]
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
    with shortened(tmp_path_factory.mktemp("idle"), "idle") as made:
        yield made


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
    wait_for(lambda: held(place, "student1")["notice"] == "idle", timeout=120)
    assert held(place, "student2")["notice"] is None
    wait_for(third.ready, timeout=120, why="the one who waited got the idle one's slice")
    assert busy.ready()
    idle.goto("/hub/spawn/student1?next=x")
    expect(idle.locator("body")).to_contain_text(re.compile("1g.5gb"))


def test_a_run_gives_way_and_is_done_all_the_same(place: Workspace) -> None:
    """Preempted, saved, back in the line with its age, and finished on its second attempt."""
    first = place.student("student1")
    first.start("cpu")
    wait_for(first.ready, timeout=120)
    inside(place, "student1", "cd && madang run submit notebooks/nightly/digits-cnn.ipynb "
           "-p epochs=25 --profile 3g.20gb --detach >/tmp/said 2>&1 || true")
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

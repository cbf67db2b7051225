"""The whole way in a real browser: login, card, Lab on exactly one slice, the line, a restart."""

import re
import socket
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import shot
from tests.workspace import Workspace, wait_for

Person = Callable[..., Page]
pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("nobody_left")]


def choose(page: Page, profile: str) -> None:
    """Pick a card and start."""
    page.goto("/hub/spawn")
    name = "CPU only" if profile == "cpu" else re.compile(rf"^{re.escape(profile)}")
    page.get_by_role("radio", name=name).check()
    page.locator("#spawn_form button[type=submit]").click()


def lab(page: Page) -> None:
    """Wait until JupyterLab is there."""
    page.wait_for_url("**/user/*/lab**", timeout=120_000)
    page.wait_for_selector("#jp-main-statusbar", timeout=120_000)


def held(place: Workspace, user: str) -> dict[str, Any]:
    """The one live lease of somebody."""
    found = [x for x in place.rest("GET", "leases").json() if x["user"] == user]
    assert len(found) == 1, found
    return dict(found[0])


def inside(place: Workspace, user: str, command: str) -> str:
    """A command in somebody's container, as they would type it in a terminal."""
    # not one of their runs, which may be made just now
    mine = {"madang.user": user, "madang.kind": "server"}
    container = next(c for c in place.containers() if mine.items() <= c.labels.items())
    done = container.exec_run(["sh", "-lc", command])
    return str(done.output.decode())


def test_a_student_gets_lab_on_exactly_one_slice(place: Workspace, person: Person) -> None:
    page = person("student1")
    page.goto("/hub/spawn")
    shot(page, "form-en")
    expect(page.get_by_text("1 of 1 free now")).to_be_visible()
    choose(page, "3g.20gb")
    lab(page)
    expect(page.locator("#madang-slice")).to_contain_text("3g.20gb")
    uuid = next(s["uuid"] for s in place.rest("GET", "slices").json() if s["profile"] == "3g.20gb")
    listed = inside(place, "student1", "nvidia-smi -L")
    assert re.findall(r"MIG-[0-9a-f-]+", listed) == [uuid], listed
    assert place.devices() == {uuid: [f"{place.name}-student1"]}
    assert inside(place, "student1", "id -u").strip() == "1000"
    assert inside(
        place, "student1", "python -c 'import torch; print(torch.__version__)'"
    ).startswith("2.")


def test_the_demo_notebook_runs_top_to_bottom_and_the_home_persists(
    place: Workspace, person: Person
) -> None:
    page = person("student2")
    choose(page, "1g.5gb")
    lab(page)
    page.goto("/user/student2/lab/tree/notebooks/welcome/welcome.ipynb")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
    # clicked before the session is there, Run All asks for a kernel
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    figure = page.locator(".jp-NotebookPanel .jp-OutputArea-output img").first
    expect(figure).to_be_attached(timeout=180_000)
    assert (
        page.locator(".jp-NotebookPanel [data-mime-type='application/vnd.jupyter.stderr']").count()
        == 0
    )
    shot(page, "lab-welcome")
    inside(place, "student2", "echo mine > ~/kept.txt")
    place.rest("DELETE", f"leases/{held(place, 'student2')['id']}", params={"reason": "a test"})
    wait_for(lambda: not place.containers(), timeout=60, why="the server is gone")
    choose(page, "cpu")
    lab(page)
    assert inside(place, "student2", "cat ~/kept.txt").strip() == "mine"
    assert "none" in inside(place, "student2", "nvidia-smi -L 2>&1 || echo none")


def test_korean_where_the_browser_asks_for_it(place: Workspace, person: Person) -> None:
    page = person("student3", locale="ko-KR")
    page.goto("/hub/spawn")
    shot(page, "form-ko")
    expect(page.get_by_role("button", name="시작")).to_be_visible()
    page.get_by_role("radio", name=re.compile("^1g.5gb")).check()
    page.locator("#spawn_form button[type=submit]").click()
    lab(page)
    expect(page.get_by_role("menuitem", name="파일")).to_be_visible()
    shot(page, "lab-ko")


def test_the_line_shows_ones_place_and_can_be_left(place: Workspace, person: Person) -> None:
    first = place.student("student1")
    first.start("3g.20gb")
    wait_for(first.ready, timeout=120)
    page = person("student4")
    choose(page, "3g.20gb")
    expect(page.locator("#progress-message")).to_contain_text("number 1")
    expect(page.locator("#progress-message")).to_contain_text("1 of 1")
    shot(page, "pending-en")
    assert [x["user"] for x in place.rest("GET", "line").json()] == ["student4"]
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url("**/hub/spawn/**")
    wait_for(lambda: place.rest("GET", "line").json() == [], why="the line is empty")


def test_a_restart_of_the_hub_keeps_the_place_in_the_line(place: Workspace, person: Person) -> None:
    first = place.student("student1")
    first.start("3g.20gb")
    wait_for(first.ready, timeout=120)
    second, third = person("student5"), person("student6", locale="ko-KR")
    choose(second, "3g.20gb")
    expect(second.locator("#progress-message")).to_contain_text("number 1")
    choose(third, "3g.20gb")
    expect(third.locator("#progress-message")).to_contain_text("2")
    shot(third, "pending-ko")
    place.kill("jupyterhub")
    expect(second.locator("#progress-message")).to_contain_text("restarts")
    shot(second, "pending-restart")
    place.wait_healthy()
    assert first.ready(), "the running server is still there"
    line = place.rest("GET", "line").json()
    assert [x["user"] for x in line] == ["student5", "student6"]
    first.stop()
    lab(second)
    expect(second.locator("#madang-slice")).to_contain_text("3g.20gb")
    assert [x["user"] for x in place.rest("GET", "line").json()] == ["student6"]


def test_a_run_from_a_terminal_in_lab(place: Workspace, person: Person) -> None:
    page = person("student1")
    choose(page, "cpu")
    lab(page)
    said = inside(
        place,
        "student1",
        "cd && madang run submit notebooks/nightly/digits-cnn.ipynb -p epochs=2 --profile 1g.5gb"
        "; echo exit $?",
    )
    assert said.rstrip().endswith("exit 0"), said
    folder = inside(place, "student1", "ls -d ~/runs/*digits-cnn*").strip()
    record = inside(place, "student1", f"cat {folder}/run.json")
    assert '"succeeded"' in record
    assert '"epochs": 2' in record
    table = inside(place, "student1", "madang run list")
    assert "succeeded" in table, table


def test_a_container_reaches_the_hub_and_nobody_else(place: Workspace) -> None:
    people = [place.student("student1"), place.student("student2")]
    for who in people:
        who.start("1g.5gb")
    for who in people:
        wait_for(who.ready, timeout=120)
    network = place.docker.networks.get(place.name)
    gateway = network.attrs["IPAM"]["Config"][0]["Gateway"]
    other = next(c for c in place.containers() if c.labels["madang.user"] == "student2")
    address = other.attrs["NetworkSettings"]["Networks"][place.name]["IPAddress"]
    port = {k: int(place.environment[f"MADANG_{k}_PORT"]) for k in ("HUB", "SERVICE", "PROXY_API")}
    assert reaches(place, gateway, port["HUB"])
    assert reaches(place, gateway, port["SERVICE"])
    assert not reaches(place, gateway, port["PROXY_API"])
    assert not reaches(place, gateway, place.port)
    assert not reaches(place, gateway, 22)
    assert not reaches(place, address, 8888)
    assert not reaches(place, "169.254.169.254", 80)
    # the same addresses from the host: it is our rules that keep them apart, not their absence
    with socket.create_connection((address, 8888), 5):
        pass
    assert inside(place, "student1", "ls /home").split() == ["student"]
    assert inside(place, "student1", "ls /var/run/docker.sock 2>&1 || true").count("No such") == 1
    secret = place.data / "homes" / "student2" / "secret.txt"
    secret.write_text("mine")
    found = inside(place, "student1", "grep -rs mine /home /mnt /srv /var/lib 2>/dev/null")
    assert "secret.txt" not in found


def reaches(place: Workspace, host: str, port: int) -> bool:
    """Whether student1's container gets a TCP connection there within 3 s."""
    code = f"import socket; socket.create_connection(('{host}', {port}), 3); print('reached')"
    return "reached" in inside(place, "student1", f'python -c "{code}"')


def test_a_connection_may_rest_longer_than_our_pages_do(place: Workspace) -> None:
    gateway = place.docker.networks.get(place.name).attrs["IPAM"]["Config"][0]["Gateway"]
    ports = [int(place.environment[f"MADANG_{k}_PORT"]) for k in ("HUB", "SERVICE")]
    kept = [HTTPConnection("127.0.0.1", place.port), *(HTTPConnection(gateway, p) for p in ports)]
    paths = ("/services/madang/health", "/hub/health", "/services/madang/health")
    for rest in (0, 6.5):
        time.sleep(rest)
        for at, path in zip(kept, paths, strict=True):
            at.request("GET", path)
            answer = at.getresponse()
            assert answer.status == 200
            answer.read()
            # from now on one that was closed meanwhile is an error, not made anew
            at.auto_open = 0
    for at in kept:
        at.close()


def test_the_live_page_shows_the_slices_and_no_names(place: Workspace, person: Person) -> None:
    first = place.student("student1")
    first.start("3g.20gb")
    wait_for(first.ready, timeout=120)
    page = person("student2")
    page.goto("/services/madang/")
    expect(page.locator("#gpus")).to_contain_text("3g.20gb")
    expect(page.locator("#gpus")).to_contain_text("in use")
    assert "student1" not in page.content()
    shot(page, "page-student")
    boss = person("operator")
    boss.goto("/services/madang/")
    expect(boss.locator("#leases")).to_contain_text("student1")
    first.stop()
    expect(page.locator("#gpus")).not_to_contain_text("in use")
    shot(boss, "page-operator")

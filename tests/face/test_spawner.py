"""SliceSpawner in the real hub, on the real Docker Engine."""

import io
import json
import signal
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import docker
import httpx
import pytest
from docker.errors import NotFound

from hub.core.lease import Kind, Stage
from hub.desk import Desk
from hub.face import lastwords
from tests.face.hubs import RunningHub, running_hub
from tests.people import Person

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(240)]
IMAGE = "madang/notebook:latest"
BROKEN = "mdspawn-broken:latest"
SIZE = "3g.20gb"  # the hub below has one of it
_BROKEN = f"""FROM {IMAGE}
USER root
RUN printf '#!/bin/sh\\necho "<script>alert(1)</script> no such library"\\nexit 3\\n' \
  > /opt/madang/venv/bin/jupyterhub-singleuser
USER student
"""


@pytest.fixture(scope="module")
def broken_image() -> Iterator[str]:
    """An image whose server exits at once."""
    client = docker.from_env()
    content = _BROKEN.encode()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        info = tarfile.TarInfo("Dockerfile")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=BROKEN, rm=True, forcerm=True)
    yield BROKEN
    client.images.remove(BROKEN, force=True)
    client.close()


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory, broken_image: str
) -> Iterator[RunningHub]:
    images = {IMAGE: "PyTorch", broken_image: "Broken", "mdspawn-missing:1": "Missing"}
    with running_hub(
        tmp_path_factory.mktemp("hub"), "mdspawn", images=json.dumps(images), memory_limit="2G",
    ) as made:
        yield made


@pytest.fixture
def people(hub: RunningHub) -> Iterator[tuple[Person, Person]]:
    """Two students who are logged in; nothing of them runs or waits afterwards."""
    both = Person(hub, "ana", "ko-KR,ko;q=0.9"), Person(hub, "bo")
    for person in both:
        person.log_in()
    yield both
    for person in both:
        person.stop()
    hub.wait(lambda: not any(x.server() for x in both), "no server is left")
    hub.wait(lambda: not hub.containers(), "no container is left")
    hub.wait(lambda: not hub.broker.state().leases, "every slice is free")


def _open(hub: RunningHub, user: str) -> Any:
    return hub.broker.state().open_for(user, Kind.SERVER, "")


def _waits(hub: RunningHub, person: Person) -> str:
    """The person's lease, when it waits."""
    def waiting() -> Any:
        found = _open(hub, person.name)
        return found if found and found.stage is Stage.WAITING else None

    return str(hub.wait(waiting, f"{person.name} waits").id)


def _events(person: Person) -> Iterator[dict[str, Any]]:
    with person.http.stream(
        "GET", f"/hub/api/users/{person.name}/server/progress",
        headers={"X-XSRFToken": person.xsrf()},
    ) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def _end(hub: RunningHub, person: Person) -> dict[str, Any]:
    """The last event. While JupyterHub clears up after a failure it has none: ask again."""
    end: dict[str, Any] = hub.wait(lambda: list(_events(person)), "the end is told")[-1]
    return end


def _inspect(hub: RunningHub, person: Person) -> dict[str, Any]:
    found: dict[str, Any] = hub.docker.inspect_container(f"{hub.name}-{person.name}")
    return found


def test_from_the_form_to_a_server_on_a_slice(
    hub: RunningHub, people: tuple[Person, Person]
) -> None:
    ana, _ = people
    page = ana.http.get("/hub/spawn")
    assert "GPU 메모리" in page.text
    pending = ana.post_form(choice=f"{IMAGE} {SIZE}")
    assert pending.url.path == "/hub/spawn-pending/ana"
    assert "서버를 준비하고 있습니다" in pending.text
    hub.wait(ana.ready, "ana's server is ready", timeout=120)

    made = _inspect(hub, ana)
    environment = dict(x.split("=", 1) for x in made["Config"]["Env"])
    lease = _open(hub, "ana")
    uuid = hub.broker.state().slices[lease.slice].uuid
    assert lease.stage is Stage.RUNNING
    assert made["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [uuid]
    assert made["HostConfig"]["AutoRemove"] is False
    assert made["HostConfig"]["CapDrop"] == ["ALL"]
    assert list(made["NetworkSettings"]["Networks"]) == [hub.name]
    assert made["Config"]["Labels"]["madang.lease"] == lease.id
    assert environment["MADANG_LANG"] == "ko"
    assert environment["MADANG_SLICE"] == SIZE
    assert environment["MEM_LIMIT"] == str(2 * 2**30)


def test_the_servers_token_may_do_little(hub: RunningHub, people: tuple[Person, Person]) -> None:
    _, bo = people
    bo.start(profile="cpu")
    hub.wait(bo.ready, "bo's server is ready", timeout=120)
    made = _inspect(hub, bo)
    environment = dict(x.split("=", 1) for x in made["Config"]["Env"])
    assert made["Config"]["Labels"]["madang.lease"] == ""
    assert not made["HostConfig"]["DeviceRequests"]
    assert _open(hub, "bo") is None
    headers = {"Authorization": f"token {environment['JUPYTERHUB_API_TOKEN']}"}
    scopes = set(httpx.get(f"{hub.url}/hub/api/user", headers=headers).json()["scopes"])
    assert "access:services!service=madang" in scopes
    assert not [x for x in scopes if x.startswith(("admin", "list", "servers", "start", "delete"))]


@pytest.mark.parametrize(("options", "text"), [
    ({"image": "evil:latest"}, "not allowed"),
    ({"profile": "9g.90gb"}, "9g.90gb"),
    ({"environment": {"LD_PRELOAD": "/x"}}, "Unknown option"),
    ({"profile": SIZE, "cmd": "sh"}, "Unknown option"),
    ({"image": [IMAGE]}, "must be text"),
])
def test_an_api_caller_cannot_ask_for_more_than_the_form_offers(
    hub: RunningHub, people: tuple[Person, Person], options: dict[str, object], text: str
) -> None:
    _, bo = people
    answer = bo.start(**options)
    told = answer.text
    if answer.status_code == httpx.codes.ACCEPTED:  # refused a moment later
        told = _end(hub, bo)["html_message"]
    assert text in told
    assert not hub.containers()
    assert _open(hub, "bo") is None
    # the form is still there, and its last choice is none that exists
    assert 'name="choice"' in bo.http.get("/hub/spawn").text


def test_the_form_says_what_is_wrong_with_it(people: tuple[Person, Person]) -> None:
    ana, bo = people
    assert "Please choose what to start." in bo.post_form().text
    assert "쓸 수 없습니다" in ana.post_form(choice=f"evil:1 {SIZE}").text


def test_the_second_waits_is_told_the_place_and_gets_the_slice(
    hub: RunningHub, people: tuple[Person, Person]
) -> None:
    ana, bo = people
    ana.start(profile=SIZE)
    hub.wait(lambda: _open(hub, "ana"), "ana has asked")
    bo.start(profile=SIZE)
    _waits(hub, bo)
    first = next(x for x in _events(bo) if x.get("stage") == "waiting")
    assert first["position"] == 1
    assert "number 1 in the line" in first["message"]
    assert "1 of 1" in first["message"]
    assert first["wait"] == "line"
    if first["latest"]:
        # the page puts the browser's own time into it
        assert f"{{{first['latest'][:19]}Z}}" in first["timed"]
    hub.wait(ana.ready, "ana's server is ready", timeout=120)
    ana.stop()
    hub.wait(bo.ready, "bo's server is ready", timeout=120)
    uuid = hub.broker.state().slices[_open(hub, "bo").slice].uuid
    assert _inspect(hub, bo)["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == [uuid]


def test_who_cancels_leaves_the_line(hub: RunningHub, people: tuple[Person, Person]) -> None:
    ana, bo = people
    ana.start(profile=SIZE)
    hub.wait(lambda: _open(hub, "ana"), "ana has asked")
    bo.start(profile=SIZE)
    lease = _waits(hub, bo)
    assert bo.stop().status_code == httpx.codes.NO_CONTENT
    found = hub.broker.look(lease).lease
    assert (found.stage, found.cause) == (Stage.WITHDRAWN, "cancelled")
    assert bo.http.get("/hub/spawn").status_code == httpx.codes.OK


def test_a_start_that_is_cancelled_halfway_leaves_nothing(
    hub: RunningHub, people: tuple[Person, Person]
) -> None:
    _, bo = people
    bo.start(profile=SIZE)
    hub.wait(hub.containers, "the container is there")
    lease = _open(hub, "bo").id
    assert bo.stop().is_success
    hub.wait(lambda: not hub.containers(), "the container is gone")
    hub.wait(lambda: hub.broker.look(lease).lease.stage is Stage.RELEASED, "the slice is free")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_of_the_hub_ends_no_server_and_keeps_the_place(
    hub: RunningHub, people: tuple[Person, Person], end: signal.Signals
) -> None:
    ana, bo = people
    ana.start(profile=SIZE)
    hub.wait(ana.ready, "ana's server is ready", timeout=120)
    bo.start(profile=SIZE)
    lease, container = _waits(hub, bo), _inspect(hub, ana)["Id"]
    hub.end_hub(end)
    assert hub.broker.look(lease).lease.stage is Stage.WAITING
    hub.start_hub()
    hub.wait(ana.ready, "ana's server is known", timeout=60)
    assert _inspect(hub, ana)["Id"] == container
    page = bo.http.get("/hub/spawn-pending/bo").text
    assert "you keep your place" in page
    # as the service does when the hub is back
    assert bo.start(**hub.broker.look(lease).lease.request.options).is_success
    assert _waits(hub, bo) == lease
    ana.stop()  # its lease was kept over the restart too
    hub.wait(bo.ready, "bo's server is ready", timeout=120)
    assert _open(hub, "bo").id == lease


def test_a_server_that_dies_at_boot_says_why(
    hub: RunningHub, people: tuple[Person, Person]
) -> None:
    _, bo = people
    bo.start(profile=SIZE, image=BROKEN)
    lease = hub.wait(lambda: _open(hub, "bo"), "bo has asked").id
    last = _end(hub, bo)
    assert last["failed"]
    assert "exited with code 3" in last["html_message"]
    page = bo.http.get("/hub/spawn-pending/bo")
    for told in (last["html_message"], page.text):
        assert "&lt;script&gt;alert(1)&lt;/script&gt; no such library" in told
        assert "<script>alert" not in told
    assert 'href="/hub/spawn/bo"' in page.text
    hub.wait(lambda: hub.broker.look(lease).lease.stage is Stage.RELEASED, "the slice is free")
    kept = hub.settings.data / "logs" / "servers" / f"{hub.name}-bo.log"
    assert kept.stat().st_mode & 0o777 == 0o600
    found = lastwords.read(hub.settings.data, f"{hub.name}-bo")
    assert found is not None
    assert (found.exit_code, found.oom) == (3, False)
    # nothing of the failed start is left in the next one
    bo.start(profile="cpu", image=IMAGE)
    hub.wait(bo.ready, "bo's server is ready", timeout=120)
    assert not _inspect(hub, bo)["HostConfig"]["DeviceRequests"]


def test_a_refusal_is_told_while_its_start_is_still_being_cleared_away(
    hub: RunningHub, people: tuple[Person, Person]
) -> None:
    _, bo = people
    desk = Desk(hub.broker)
    desk.set_group("ml", {"quota": 0.1}, "operator")
    # of an earlier hub: it is cleared away with the start, and hears no signal
    left = hub.docker.create_container(
        IMAGE, entrypoint=["sleep"], command=["600"], name=f"{hub.name}-bo")
    hub.docker.start(left)
    try:
        bo.post_form(choice=f"{IMAGE} {SIZE}")
        page = hub.wait(lambda: _page_with(bo, "The quota of this week is used up"), "why is told")
        assert hub.docker.inspect_container(left)["State"]["Running"]
        assert "Your server did not start" in page
        assert "is stopping" not in page
        assert "The quota of this week" in _end(hub, bo)["html_message"]
    finally:
        desk.remove_group("ml", "operator")
        with suppress(NotFound):
            hub.docker.remove_container(left, force=True)


def _page_with(person: Person, text: str) -> str:
    page = person.http.get(f"/hub/spawn-pending/{person.name}").text
    return page if text in page else ""


def test_an_image_that_is_not_there_is_named(
    hub: RunningHub, people: tuple[Person, Person]
) -> None:
    _, bo = people
    bo.start(profile="cpu", image="mdspawn-missing:1")
    last = _end(hub, bo)
    assert "mdspawn-missing:1 is not on this machine" in last["html_message"]


def test_a_server_that_is_killed_tells_its_owner_and_gives_its_slice_back(
    hub: RunningHub, people: tuple[Person, Person]
) -> None:
    _, bo = people
    bo.start(profile=SIZE)
    hub.wait(bo.ready, "bo's server is ready", timeout=120)
    lease = _open(hub, "bo").id
    hub.docker.kill(f"{hub.name}-bo")
    hub.wait(lambda: hub.broker.look(lease).lease.stage is Stage.RELEASED, "the slice is free")
    hub.wait(lambda: not bo.server(), "the hub has noticed")
    page = bo.http.get("/user/bo/lab")
    assert "Your server ended by itself." in page.text, page.text


def test_a_server_that_is_ended_by_hand_tells_its_owner_by_whom_and_why(
    hub: RunningHub, people: tuple[Person, Person]
) -> None:
    ana, bo = people
    for person, text in ((bo, "It was ended by teacher: the &lt;exam&gt; begins."), (ana, "끝냈")):
        person.start(profile=SIZE)
        hub.wait(person.ready, "the server is ready", timeout=120)
        lease = _open(hub, person.name).id
        hub.broker.end(lease, "teacher", "the <exam> begins")
        hub.wait(lambda x=person: not x.server(), "it has stopped")
        page = person.http.get(f"/user/{person.name}/lab")
        assert text in page.text, page.text
        hub.wait(
            lambda x=lease: hub.broker.look(x).lease.stage is Stage.RELEASED, "the slice is free")

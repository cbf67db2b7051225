"""Idle servers without a slice are stopped by jupyterhub-idle-culler; one with a slice never."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.face.culler import without_slice
from tests.face.hubs import RunningHub, running_hub
from tests.people import Person

SIZE = "3g.20gb"  # the hub below has one of it
IDLE = 8  # seconds
MODEL: dict[str, Any] = {"name": "", "user_options": {"profile": "cpu"}}


@pytest.mark.parametrize(("options", "stopped"), [
    ({"profile": "cpu"}, True), ({}, True), ({"profile": ""}, True),
    ({"profile": SIZE}, False), ({"profile": "1g.5gb", "image": "x"}, False), (None, False),
])
def test_what_was_chosen_decides(options: object, *, stopped: bool) -> None:
    hour = timedelta(hours=1)
    server = {**MODEL, "user_options": options}
    assert without_slice(inactive=hour, inactive_limit=3600, server=server) is stopped
    assert not without_slice(inactive=hour, inactive_limit=3601, server=server)


def test_a_server_that_does_not_say_is_left_alone() -> None:
    assert not without_slice(inactive=timedelta(days=9), inactive_limit=1, server={"name": ""})


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_CPU_IDLE", str(IDLE))
        folder = tmp_path_factory.mktemp("hub")
        with running_hub(folder, "mdcull", cpu_idle="600", memory_limit="2G") as made:
            yield made


def _up(hub: RunningHub, name: str, profile: str) -> Person:
    person = Person(hub, name)
    person.log_in()
    assert person.start(profile=profile).status_code in (201, 202)
    hub.wait(person.ready, f"{name}'s server is up", 120)
    return person


def _is_at_work(person: Person) -> None:
    """As a server tells the hub of its activity."""
    now = {"last_activity": datetime.now(UTC).isoformat()}
    answer = person.api("POST", f"/users/{person.name}/activity", json={"servers": {"": now}})
    assert answer.is_success, answer.text


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_only_an_idle_server_without_a_slice_is_stopped(hub: RunningHub) -> None:
    holds, works = _up(hub, "cho", SIZE), _up(hub, "bo", "cpu")
    idle = Person(hub, "ana")
    idle.log_in()
    idle.start(profile="cpu")

    def is_up() -> bool:
        _is_at_work(works)
        return idle.ready()

    def is_stopped() -> bool:
        _is_at_work(works)
        return not idle.server()

    hub.wait(is_up, "ana's server is up", 120)
    hub.wait(is_stopped, "ana's server is stopped", IDLE * 4)
    # the one with a slice has been inactive for longer than that
    last = datetime.fromisoformat(holds.server()["last_activity"])
    assert datetime.now(UTC) - last > timedelta(seconds=IDLE)
    assert holds.ready()
    assert works.ready()
    assert "Culling server ana" in (hub.folder / "hub.log").read_text()


@pytest.mark.docker
def test_it_has_its_own_role_only(hub: RunningHub) -> None:
    operator = Person(hub, "operator")
    operator.log_in()
    found = operator.api("GET", "/services/madang-culler").json()
    assert (found["roles"], found["admin"]) == (["madang-culler"], False)

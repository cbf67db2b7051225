"""Many heavy requests at once: whatever else is asked of the service is answered meanwhile."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from hub.face import heavy
from tests.face.courses import FIRST, SECOND, call, file_of, published, updated
from tests.face.running import Running, error, running

MANY = 50  # more than the threads that all routes share


class Held:
    """Course updates that are under way until `on` is set."""

    def __init__(self, service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = threading.Event()
        self.inside = threading.Semaphore(0)
        handouts = service.app.state.courses.handouts
        real = handouts.hand_out

        def hand_out(user: str, *given: Any, **rest: Any) -> Any:
            if user == "ana":
                self.inside.release()
                assert self.on.wait(60)
            return real(user, *given, **rest)

        monkeypatch.setattr(handouts, "hand_out", hand_out)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, snapshot_mib=5) as made:
        made.app.state.attending._looked = float("inf")
        published(made, FIRST)
        for who in ("ana", "bo"):
            updated(made, who)
        published(made, SECOND)
        yield made


def ask(service: Running, who: str) -> Response:
    return call(service, who, "POST", "/dl/update", json={})


@contextmanager
def asked(service: Running, held: Held, times: int) -> Iterator[list[Future[Response]]]:
    """So often ana asks for an update; as many of them as may are under way."""
    with ThreadPoolExecutor(times) as pool:
        try:
            found = [pool.submit(ask, service, "ana") for _ in range(times)]
            assert held.inside.acquire(timeout=60)
            yield found
        finally:
            held.on.set()


def test_light_routes_do_not_queue_behind_heavy_ones(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heavy, "_OF_ONE", MANY)
    held = Held(service, monkeypatch)
    with asked(service, held, MANY) as waiting:
        with service.client("t-bo") as http:
            for path in ("api/me", "api/line", "api/leases", "api/courses/dl"):
                assert http.get(path).status_code == 200
        assert not any(x.done() for x in waiting)
        held.on.set()
        assert {x.result(60).status_code for x in waiting} == {200}
    assert "a = 10" in file_of(service, "ana", "week1/tensors.ipynb").read_text()


def test_one_person_does_not_have_all_heavy_threads(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(service, monkeypatch)
    with asked(service, held, MANY) as waiting:
        assert ask(service, "bo").json()["release"] == 2
        assert not any(x.done() for x in waiting)
        held.on.set()
        assert {x.result(60).status_code for x in waiting} == {200}


def test_a_heavy_one_waits_until_another_has_ended(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heavy, "_threads", heavy.RunVar("test"))
    monkeypatch.setattr(heavy, "_AT_ONCE", 1)
    held = Held(service, monkeypatch)
    with asked(service, held, 2) as both, service.client("t-ana") as http:
        assert not held.inside.acquire(timeout=0.5)
        assert http.get("api/me").json()["name"] == "ana"
        held.on.set()
        assert held.inside.acquire(timeout=60)
        assert {x.result(60).status_code for x in both} == {200}


def test_a_heavy_route_that_refuses_gives_its_thread_back(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heavy, "_threads", heavy.RunVar("test"))
    monkeypatch.setattr(heavy, "_AT_ONCE", 1)
    for _ in range(3):
        error(call(service, "ana", "POST", "/none/update", json={}), 404, "not-found")
        error(call(service, "ana", "POST", "/dl/fresh", json={"path": "no"}), 404, "not-found")
    assert ask(service, "ana").json()["release"] == 2

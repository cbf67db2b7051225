"""Runs over HTTP: submitted, watched, cancelled, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from hub.core.lease import Ended, Why
from hub.errors import Unknown
from tests.face.running import NOTEBOOK, Running, error, running, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all tests that leave nothing behind: starting one takes half a second."""
    with running(tmp_path_factory.mktemp("standing")) as made:
        yield made


def test_a_run_from_asking_to_its_log(service: Running) -> None:
    answer = service.submit(parameters={"epochs": 3})
    assert answer.status_code == 201
    run = answer.json()
    assert (run["user"], run["parameters"], run["stage"]) == ("ana", {"epochs": 3}, "waiting")
    path = f"api/runs/{run['id']}"
    with service.client("t-ana") as http:
        until(lambda: http.get(path).json()["stage"] == "running", "it runs")
        service.engine.say(run["id"], "madang: cell 1/1\n안녕 <script>\n".encode())
        logs = http.get(f"{path}/logs")
        assert logs.text == "madang: cell 1/1\n안녕 <script>\n"
        assert logs.headers["content-type"] == "text/plain; charset=utf-8"
        assert logs.headers["x-content-type-options"] == "nosniff"
        service.engine.exit(run["id"], 0)
        until(lambda: http.get(path).json()["stage"] == "succeeded", "it has ended")
        assert http.get(f"{path}/logs").text == logs.text
        assert http.delete(path).json()["stage"] == "succeeded"
        assert [x["id"] for x in http.get("api/runs").json()] == [run["id"]]
        assert http.get(f"api/runs/{run['id'][:6]}").json()["id"] == run["id"]


def test_runs_of_others_are_as_if_they_were_not(service: Running) -> None:
    run = service.submit("t-bo").json()["id"]
    with service.client("t-ana") as http:
        assert http.get("api/runs").json() == []
        for answer in (
            http.get(f"api/runs/{run}"), http.get(f"api/runs/{run[:5]}"),
            http.delete(f"api/runs/{run}"), http.get(f"api/runs/{run}/logs"),
            http.get(f"api/runs/{run}/events"),
        ):
            error(answer, 404, "not-found")
        error(http.get("api/runs?user=bo"), 403, "not-allowed")
    with service.client("t-operator") as http:
        assert [x["id"] for x in http.get("api/runs?user=bo").json()] == [run]
        assert http.get("api/runs?user=ana").json() == []
        http.delete(f"api/runs/{run}")
        until(lambda: http.get(f"api/runs/{run}").json()["stage"] == "cancelled", "it is cancelled")
        assert http.get(f"api/runs/{run}").json()["message"] == "cancelled by the operator"


def test_the_beginning_of_an_id_is_looked_for_among_ones_own(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter(["ab12000000", "ab34000000"])
    monkeypatch.setattr("hub.batch.secrets", SimpleNamespace(token_hex=lambda _: next(ids)))
    mine = service.submit("t-ana").json()["id"]
    service.submit("t-bo")
    with service.client("t-ana") as http:
        assert http.get("api/runs/ab").json()["id"] == mine
    with service.client("t-operator") as http:
        error(http.get("api/runs/ab"), 404, "not-found")


def test_a_lease_is_ended_for_the_attempt_that_it_was_given_to(service: Running) -> None:
    run = service.submit(profile="3g.20gb").json()["id"]
    with service.client("t-ana") as http:
        until(lambda: http.get(f"api/runs/{run}").json()["stage"] == "running", "it runs")
        service.broker._tell(Ended(run, "needed", Why.PREEMPTED))
        until(lambda: http.get(f"api/runs/{run}").json()["attempt"] == 2, "it gave way")
        until(lambda: http.get(f"api/leases/{run}-2").is_success, "it waits again")
        until(lambda: http.get(f"api/runs/{run}").json()["stage"] == "running", "it runs again")
        error(http.delete(f"api/leases/{run}"), 404, "not-found")
        assert http.delete(f"api/leases/{run}-2").is_success
        until(lambda: http.get(f"api/runs/{run}").json()["stage"] == "cancelled", "it is cancelled")
        assert http.get(f"api/runs/{run}").json()["message"] == "cancelled by ana"


def test_who_may_submit_for_whom(service: Running) -> None:
    assert service.submit("t-host", user="bo").json()["user"] == "bo"
    assert service.submit("t-ana", user="ana").json()["user"] == "ana"
    error(service.submit("t-ana", user="bo"), 403, "not-allowed")
    error(service.submit("t-service", user="ana"), 403, "not-allowed")
    assert "whose" in error(service.submit("t-host"), 400, "bad-request")


@pytest.mark.parametrize(("changes", "status", "reason"), [
    ({"profile": "9g.90gb"}, 400, "unknown-profile"),
    ({"profile": "7g.40gb"}, 400, "unknown-profile"),
    ({"image": "evil/image"}, 400, "image"),
    ({"notebook": {}}, 400, "not-a-notebook"),
    ({"notebook": []}, 422, "bad-request"),
    ({"notebook": "text"}, 422, "bad-request"),
    ({"parameters": {"unknown": 1}}, 400, "unknown-parameter"),
    ({"parameters": {"epochs": "a\0b"}}, 422, "bad-request"),
    ({"parameters": {"epochs": [{"x": "\0"}]}}, 422, "bad-request"),
    ({"parameters": [1]}, 422, "bad-request"),
    ({"timeout": -1}, 422, "bad-request"),
    ({"timeout": 10**30}, 422, "bad-request"),
    ({"notebook_name": ""}, 422, "bad-request"),
    ({"notebook_name": "a\nb"}, 422, "bad-request"),
    ({"notebook_name": "a" * 300}, 422, "bad-request"),
    ({"surprise": 1}, 422, "bad-request"),
    ({"cwd": "../../etc"}, 400, None),
])
def test_what_cannot_be_submitted(
    standing: Running, changes: dict[str, Any], status: int, reason: str | None
) -> None:
    answer = standing.submit(**changes)
    error(answer, status, reason or answer.json()["error"]["reason"])
    with standing.client("t-ana") as http:
        assert http.get("api/runs").json() == []


@pytest.mark.parametrize("body", [
    b"", b"{", b"null", b"[1]", b"\xff\xfe", b'{"notebook_name": "\\ud800"}',
    b"[" * 100_000, b'{"notebook": ' + b'{"a":' * 100_000, b"1" * 10_000, b"NaN",
])
def test_bodies_that_are_no_submission(standing: Running, body: bytes) -> None:
    with standing.client("t-ana") as http:
        answer = http.post("api/runs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert set(answer.json()["error"]) == {"message", "reason"}
    assert len(answer.text) < 3000  # the input is not sent back


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "[1e999]", '{"x": NaN}'])
def test_numbers_that_are_no_json(standing: Running, value: str) -> None:
    text = json.dumps({"notebook_name": "n", "notebook": NOTEBOOK, "profile": "1g.5gb"})
    body = f'{text[:-1]}, "parameters": {{"epochs": {value}}}}}'
    with standing.client("t-ana") as http:
        answer = http.post("api/runs", content=body, headers={"Content-Type": "application/json"})
        error(answer, 422, "bad-request")
        assert http.get("api/runs").json() == []


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_not_read(standing: Running, *, announced: bool) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1 << 20
            yield b" " * (1 << 20)

    with standing.client("t-ana") as http:
        if announced:
            answer = http.post("api/runs", content=b" " * (3 << 20))
            assert "2 MiB" in error(answer, 413, "too-large")
            return
        try:
            answer = http.post("api/runs", content=endless())
            error(answer, 413, "too-large")
        except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            pass  # the connection is closed in the middle of what nobody reads
    assert sent < 50 << 20


def test_docker_that_does_not_answer_is_said(service: Running) -> None:
    run = service.submit().json()["id"]
    with service.client("t-ana") as http:
        until(lambda: http.get(f"api/runs/{run}").json()["stage"] == "running", "it runs")

        def away(*_: object, **__: object) -> bytes:
            raise Unknown("500 from Docker")

        service.engine.logs = away  # type: ignore[method-assign]
        said = error(http.get(f"api/runs/{run}/logs"), 503, "unavailable")
        assert "500" not in said

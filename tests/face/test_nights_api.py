"""Sweeps, planned runs, reruns and schedules over HTTP: made, seen, changed, refused."""

import base64
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.face.running import NOTEBOOK, Running, error, running, until

BODY: dict[str, Any] = {"notebook_name": "n.ipynb", "notebook": NOTEBOOK, "profile": "1g.5gb"}
NIGHTLY = BODY | {"name": "nightly", "cron": "0 2 * * *", "zone": "Asia/Seoul"}
FOLDER = base64.b64encode(gzip.compress(b"a folder")).decode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("nights"), snapshot_mib=1, runs_in_line=2) as made:
        yield made


@pytest.fixture
def ana(service: Running) -> Iterator[httpx.Client]:
    with service.client("t-ana") as http:
        yield http
        # nothing of a test is left for the next one
        for x in http.get("api/schedules").json():
            http.delete(f"api/schedules/{x['id']}")
        for x in http.get("api/sweeps").json():
            http.delete(f"api/sweeps/{x['id']}")
        for x in http.get("api/runs").json():
            http.delete(f"api/runs/{x['id']}")
    until(lambda: not service.batch.counts(), "every run has ended")


def sweep(http: httpx.Client, **changes: Any) -> httpx.Response:
    return http.post("api/sweeps", json=BODY | {"sweep": {"epochs": [1, 2, 3]}} | changes)


# ---- sweeps -------------------------------------------------------------------------------------


def test_a_sweep_from_asking_to_its_end(service: Running, ana: httpx.Client) -> None:
    answer = sweep(ana)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["user"], made["count"], made["names"]) == ("ana", 3, ["epochs"])
    assert [x["parameters"] for x in made["runs"]] == [{"epochs": i} for i in (1, 2, 3)]
    path = f"api/sweeps/{made['id']}"
    until(lambda: ana.get(path).json()["counts"].get("running") == 2, "two of them run")
    first = made["runs"][0]["id"]
    service.engine.files[first, "run.json"] = (
        b'{"id": "%s", "attempt": 1, "metrics": {"loss": 0.5}}' % first.encode())
    service.engine.exit(first, 0)
    until(lambda: ana.get(path).json()["runs"][0]["stage"] == "succeeded", "it has ended")
    assert ana.get(path).json()["runs"][0]["metrics"] == {"loss": 0.5}
    assert ana.get(f"api/runs/{first}").json()["metrics"] == {"loss": 0.5}
    listed = {x["id"]: x["count"] for x in ana.get("api/sweeps").json()}
    assert next(iter(listed.items())) == (made["id"], 3), "the newest"
    assert [x["id"] for x in ana.get(f"api/runs?sweep={made['id']}").json()] == [
        x["id"] for x in reversed(made["runs"])
    ]
    gone = ana.delete(path).json()
    assert gone["counts"]["succeeded"] == 1
    until(lambda: ana.get(path).json()["counts"].get("cancelled") == 2, "the others are cancelled")


def test_sweeps_and_schedules_of_others_are_as_if_they_were_not(
    service: Running, ana: httpx.Client
) -> None:
    swept = sweep(ana).json()["id"]
    made = ana.post("api/schedules", json=NIGHTLY).json()["id"]
    with service.client("t-bo") as bo:
        for theirs in ("sweeps", "schedules", "runs"):
            assert bo.get(f"api/{theirs}").json() == []
        for answer in (
            bo.get(f"api/sweeps/{swept}"), bo.delete(f"api/sweeps/{swept}"),
            bo.get(f"api/schedules/{made}"), bo.delete(f"api/schedules/{made}"),
            bo.patch(f"api/schedules/{made}", json={"paused": True}),
            bo.post(f"api/schedules/{made}/run"),
        ):
            error(answer, 404, "not-found")
        error(bo.post("api/runs", json=BODY | {"after": "0" * 10}), 404, "not-found")
    with service.client("t-operator") as operator:
        assert swept in [x["id"] for x in operator.get("api/sweeps").json()]
        assert [x["user"] for x in operator.get("api/schedules").json()] == ["ana"]
        assert operator.patch(f"api/schedules/{made}", json={"paused": True}).json()["paused"]


@pytest.mark.parametrize(("changes", "status", "reason"), [
    ({"sweep": {}}, 400, "sweep"), ({"sweep": {"epochs": []}}, 400, "sweep"),
    ({"sweep": {"epochs": list(range(1001))}}, 422, "bad-request"),
    ({"sweep": {"epochs": [1] * 999, "seed": [1, 2]}}, 400, "sweep"),
    ({"sweep": {"epochs": 3}}, 422, "bad-request"), ({"sweep": [1]}, 422, "bad-request"),
    ({"sweep": {"unknown": [1]}}, 400, "unknown-parameter"),
    ({"sweep": {"epochs": ["a\0b"]}}, 422, "bad-request"),
    ({"parameters": {"epochs": 1}}, 400, "sweep"),
    ({"profile": "9g.90gb"}, 400, "unknown-profile"), ({"image": "evil"}, 400, "image"),
    ({"retries": 11}, 422, "bad-request"), ({"at": "yesterday"}, 400, "at"),
    ({"snapshot": "!"}, 400, "snapshot"), ({"snapshot": "YWJj"}, 400, "snapshot"),
    ({"snapshot": base64.b64encode(b"\x1f\x8b" + bytes(1 << 20)).decode()}, 413, "too-large"),
])
def test_what_cannot_be_swept(
    service: Running, ana: httpx.Client, changes: dict[str, Any], status: int, reason: str
) -> None:
    error(sweep(ana, **changes), status, reason)
    assert not service.batch.counts()


# ---- planned, and again -------------------------------------------------------------------------


def test_a_run_at_a_time_is_planned_and_says_until_when(ana: httpx.Client) -> None:
    at = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    made = ana.post("api/runs", json=BODY | {"at": at, "retries": 3}).json()
    assert (made["stage"], made["not_before"][:16], made["retries"]) == ("planned", at, 3)
    after = ana.post("api/runs", json=BODY | {"after": made["id"][:6]}).json()
    assert (after["stage"], after["after"]) == ("planned", made["id"])
    ana.delete(f"api/runs/{made['id']}")
    path = f"api/runs/{after['id']}"
    until(lambda: ana.get(path).json()["stage"] == "cancelled", "what it waited for never begins")
    korean = ana.get(path, headers={"Accept-Language": "ko"}).json()["message"]
    assert made["id"] in korean
    assert korean != ana.get(path).json()["message"]


def test_a_rerun_repeats_a_run_and_says_what_differs(service: Running, ana: httpx.Client) -> None:
    run = ana.post("api/runs", json=BODY | {"snapshot": FOLDER}).json()["id"]
    until(lambda: run in service.engine.found, "it runs")
    service.engine.exit(run, 1)
    until(lambda: ana.get(f"api/runs/{run}").json()["stage"] == "failed", "it has ended")
    answer = ana.post(f"api/runs/{run}/rerun", json={"parameters": {"epochs": 7}})
    assert answer.status_code == 201
    assert answer.json()["differs"] == ["epochs is 7; it was None."]
    again = answer.json()["run"]["id"]
    until(lambda: again in service.engine.found, "it runs")
    spec = service.engine.specs[-1]
    assert gzip.decompress(spec.files["/run/madang/input.tar.gz"]) == b"a folder"
    error(ana.post(f"api/runs/{run}/rerun", json={"parameters": {"x": 1}}), 400,
          "unknown-parameter")
    error(ana.post("api/runs/none/rerun", json={}), 404, "not-found")
    error(ana.post(f"api/runs/{run}/rerun", json={"surprise": 1}), 422, "bad-request")


# ---- schedules ----------------------------------------------------------------------------------


def test_a_schedule_from_its_making_to_its_removal(ana: httpx.Client) -> None:
    answer = ana.post("api/schedules", json=NIGHTLY | {
        "parameters": {"epochs": 3}, "catch_up": "6h", "overlap": "queue", "retries": 2,
        "snapshot": FOLDER,
    })
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["user"], made["catch_up"], made["overlap"], made["source"], made["last"]) == (
        "ana", "6h", "queue", "person", None)
    assert [x["local"][11:] for x in made["next"]] == ["02:00"] * 3
    assert {x["at"][11:16] for x in made["next"]} == {"17:00"}
    path = f"api/schedules/{made['id']}"
    changed = ana.patch(path, json={
        "cron": "30 3 * * mon", "parameters": {}, "sweep": {"epochs": [1, 2]}, "paused": True,
    }).json()
    assert (changed["cron"], changed["next"], changed["sweep"]) == (
        "30 3 * * mon", [], {"epochs": [1, 2]})
    assert changed["name"] == "nightly", "what is left out stays"
    swept = ana.post(f"{path}/run").json()
    assert swept["count"] == 2
    ana.patch(path, json={"sweep": {}, "paused": False})
    run = ana.post(f"{path}/run").json()
    assert (run["schedule"], run["slot"], run["retries"]) == (made["id"], "", 2)
    assert ana.get(f"api/runs?schedule={made['id']}").json()[0]["id"] == run["id"]
    whole = ana.get(path).json()
    assert whole["occurrences"] == []
    assert ana.delete(path).json()["id"] == made["id"]
    error(ana.get(path), 404, "not-found")
    assert ana.get(f"api/runs/{run['id']}").json()["id"] == run["id"]


def test_what_became_of_a_slot_is_told(service: Running, ana: httpx.Client) -> None:
    made = ana.post("api/schedules", json=NIGHTLY).json()
    path, batch = f"api/schedules/{made['id']}", service.batch
    clock = batch.mover.clock
    due = datetime.fromisoformat(made["next"][0]["at"]) + timedelta(seconds=1)
    try:
        batch.mover.clock = lambda: due
        until(lambda: ana.get(path).json()["occurrences"], "its slot has come")
    finally:
        batch.mover.clock = clock
    (seen,) = ana.get(path).json()["occurrences"]
    assert (seen["slot"], seen["outcome"]) == (made["next"][0]["local"], "run")
    assert ana.get(f"api/runs/{seen['run']}").json()["slot"] == seen["slot"]
    assert ana.get("api/schedules").json()[0]["last"] == seen


@pytest.mark.parametrize(("changes", "status", "reason"), [
    ({"cron": "0 2 * *"}, 400, "schedule"), ({"cron": "* * * * * *"}, 400, "schedule"),
    ({"zone": "Mars/Olympus"}, 400, "schedule"), ({"zone": "/etc/localtime"}, 400, "schedule"),
    ({"catch_up": "1d"}, 400, "schedule"), ({"overlap": "both"}, 400, "schedule"),
    ({"name": ""}, 422, "bad-request"), ({"name": "a\nb"}, 422, "bad-request"),
    ({"name": " "}, 400, "schedule"), ({"notebook": {}}, 400, "not-a-notebook"),
    ({"parameters": {"unknown": 1}}, 400, "unknown-parameter"), ({"timeout": -1}, 422, None),
    ({"surprise": 1}, 422, "bad-request"), ({"profile": "9g.90gb"}, 400, "unknown-profile"),
    ({"at": "02:00"}, 422, "bad-request"), ({"group": "theirs"}, 400, "group"),
    ({"user": "bo"}, 403, "not-allowed"), ({"notify": "me"}, 422, "bad-request"),
    ({"secrets": [1]}, 422, "bad-request"),
])
def test_what_no_schedule_can_be(
    ana: httpx.Client, changes: dict[str, Any], status: int, reason: str | None
) -> None:
    error(ana.post("api/schedules", json=NIGHTLY | changes), status, reason or "bad-request")
    assert ana.get("api/schedules").json() == []
    if not {"at", "user"} & set(changes):
        made = ana.post("api/schedules", json=NIGHTLY).json()["id"]
        error(ana.patch(f"api/schedules/{made}", json=changes), status, reason or "bad-request")


def test_a_name_is_taken_once(service: Running, ana: httpx.Client) -> None:
    ana.post("api/schedules", json=NIGHTLY)
    error(ana.post("api/schedules", json=NIGHTLY), 409, "schedule")
    with service.client("t-bo") as bo:
        made = bo.post("api/schedules", json=NIGHTLY)
        assert made.status_code == 201
        bo.delete(f"api/schedules/{made.json()['id']}")


def test_the_list_of_runs_is_as_the_schema_says(service: Running, ana: httpx.Client) -> None:
    made = ana.post("api/runs", json=BODY).json()
    listed = {x["id"]: x for x in ana.get("api/runs?limit=10000").json()}
    assert set(listed[made["id"]]) == set(made)
    error(ana.get("api/runs?limit=10001"), 422, "bad-request")


def test_planned_runs_are_counted(tmp_path: Path) -> None:
    with running(tmp_path) as service, service.client("t-ana") as http:
        http.post("api/runs", json=BODY | {"at": "02:00"})
        with service.client("t-operator") as operator:
            assert 'madang_runs{stage="planned"} 1.0' in operator.get("metrics").text

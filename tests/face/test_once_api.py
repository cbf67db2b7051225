"""Requests with an Idempotency-Key over HTTP: runs, sweeps, reruns, schedules run by hand."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.face.running import NOTEBOOK, Running, error, running

BODY: dict[str, Any] = {"notebook_name": "n.ipynb", "notebook": NOTEBOOK, "profile": "1g.5gb"}
KEY = {"Idempotency-Key": "0f3a-41"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("once"), runs_in_line=2) as made:
        yield made


@pytest.fixture
def ana(service: Running) -> Iterator[httpx.Client]:
    with service.client("t-ana") as http:
        yield http


def runs(http: httpx.Client) -> list[str]:
    return [x["id"] for x in http.get("api/runs").json()]


@pytest.mark.parametrize("what", ["runs", "sweeps", "rerun", "schedule"])
def test_whatever_makes_runs_makes_them_once_for_a_key(ana: httpx.Client, what: str) -> None:
    path, body = {
        "runs": lambda: ("api/runs", BODY | {"at": "02:00"}),
        "sweeps": lambda: ("api/sweeps", BODY | {"sweep": {"epochs": [1, 2, 3]}}),
        "rerun": lambda: (
            f"api/runs/{ana.post('api/runs', json=BODY).json()['id']}/rerun",
            {"parameters": {"epochs": 2}},
        ),
        "schedule": lambda: (
            "api/schedules/" + ana.post(
                "api/schedules", json=BODY | {"name": "n", "cron": "0 2 * * *"}
            ).json()["id"] + "/run",
            {"parameters": {"epochs": 7}},
        ),
    }[what]()
    key = {"Idempotency-Key": f"key-{what}"}
    before = len(runs(ana))
    first = ana.post(path, json=body, headers=key)
    again = ana.post(path, json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201), (first.text, again.text)
    assert len(runs(ana)) - before == (3 if what == "sweeps" else 1)
    one, other = (x.json().get("run", x.json()) for x in (first, again))
    assert one["id"] == other["id"]
    if what == "sweeps":
        assert [x["parameters"] for x in one["runs"]] == [x["parameters"] for x in other["runs"]]
    elif what == "rerun":
        assert first.json()["differs"] == again.json()["differs"]
    elif what == "schedule":
        assert one["parameters"] == {"epochs": 7}
    without = ana.post(path, json=body)
    assert without.json().get("run", without.json())["id"] != one["id"]


def test_a_key_belongs_to_one_request_of_one_person(service: Running, ana: httpx.Client) -> None:
    made = ana.post("api/runs", json=BODY, headers=KEY).json()
    for path, body in (
        ("api/runs", BODY | {"parameters": {"epochs": 2}}), (f"api/runs/{made['id']}/rerun", {}),
    ):
        said = error(ana.post(path, json=body, headers=KEY), 422, "idempotency-key")
        assert "another request" in said
    with service.client("t-bo") as bo:
        assert bo.post("api/runs", json=BODY, headers=KEY).json()["user"] == "bo"


@pytest.mark.parametrize("bad", ["", "x" * 256, "two words", "ä".encode("latin-1")])
def test_what_is_no_key(ana: httpx.Client, bad: str | bytes) -> None:
    before = runs(ana)
    headers: Any = {"Idempotency-Key": bad}
    said = error(ana.post("api/runs", json=BODY, headers=headers), 422, "bad-request")
    assert "Idempotency-Key" in said
    assert runs(ana) == before


def test_a_schedule_that_is_run_by_hand_takes_no_body_or_a_good_one(ana: httpx.Client) -> None:
    made = ana.post("api/schedules", json=BODY | {"name": "by hand", "cron": "0 2 * * *"}).json()
    path = f"api/schedules/{made['id']}/run"
    assert ana.post(path).json()["parameters"] == {}
    assert ana.post(path, json={}).json()["parameters"] == {}
    error(ana.post(path, json={"parameters": {"unknown": 1}}), 400, "unknown-parameter")
    error(ana.post(path, json={"epochs": 1}), 422, "bad-request")


def test_the_schema_shows_the_key(ana: httpx.Client) -> None:
    paths = ana.get("openapi.json").json()["paths"]
    for path in ("runs", "sweeps", "runs/{id}/rerun", "schedules/{id}/run"):
        found = paths[f"/services/madang/api/{path}"]["post"]["parameters"]
        assert [x["name"] for x in found if x["in"] == "header"] == ["Idempotency-Key"]

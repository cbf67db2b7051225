"""The REST routes over HTTP: who may see and do what, and what comes back when it goes wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.core.lease import Kind, Stage
from hub.metrics import REFUSALS
from tests.face.running import Running, error, running, until

IMAGE = "madang/notebook:latest"
HOSTILE = "<img src=x onerror=alert(1)> '\"; DROP TABLE leases;--"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all tests that leave nothing behind: starting one takes half a second."""
    with running(tmp_path_factory.mktemp("standing")) as made:
        yield made


def ask(service: Running, user: str, profile: str = "1g.5gb", name: str = "") -> str:
    return service.broker.ask(
        user=user, kind=Kind.SERVER, name=name, profile=profile, image=IMAGE
    ).id


# ---- who -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("token", "name", "operator", "instructor"), [
    ("t-ana", "ana", False, False),
    ("t-teacher", "teacher", False, True),
    ("t-operator", "operator", True, False),
    ("t-operator-made", "operator", True, False),
    ("t-operator-server", "operator", False, False),
    ("t-admin", "root", False, False),
    ("t-was-admin", "ana", False, False),
    ("t-host", "madang-host", True, False),
    ("t-service", "ana", False, False),
    ("t-fake-host", "madang-host", False, False),
    ("t-hostile", HOSTILE, False, False),
])
def test_me_tells_the_role(
    standing: Running, *, token: str, name: str, operator: bool, instructor: bool
) -> None:
    with standing.client(token) as http:
        me = http.get("api/me").json()
    assert (me["name"], me["is_operator"], me["is_instructor"]) == (name, operator, instructor)


def test_a_role_taken_from_the_roster_is_gone_at_the_next_request(service: Running) -> None:
    with service.client("t-operator") as http:
        assert http.get("api/me").json()["groups"] == ["staff"]
        csv = "name,group,role\nana,ml,student\noperator,staff,student\n"
        assert http.put("api/roster", content=csv).json() == {"members": 2}
        assert http.get("api/me").json()["is_operator"] is False
        error(http.put("api/roster", content=csv), 403, "not-allowed")


def test_a_notebook_that_an_operator_opens_is_no_operator(service: Running) -> None:
    """Whoever wrote it reads the server's token in the environment."""
    ask(service, "bo")
    with service.client("t-operator-server") as http:
        wanted = "name,group,role\nana,ml,operator\n"
        error(http.put("api/roster", content=wanted), 403, "not-allowed")
        assert http.get("api/leases").json() == []
        assert {x["uuid"] for x in http.get("api/slices").json()} == {None}
        assert http.get("metrics").status_code == 403


@pytest.mark.parametrize(("token", "operator"), [("t-admin", True), ("t-admin-server", False)])
def test_without_a_roster_the_hub_says_who_is_an_operator(
    service: Running, *, token: str, operator: bool
) -> None:
    service.broker.set_members(())
    with service.client(token) as http:
        assert http.get("api/me").json()["is_operator"] is operator


PATHS = [
    "api/me", "api/offers", "api/images", "api/slices", "api/leases", "api/line", "api/runs",
    "api/events",
    "api/reservations", "api/groups", "api/usage", "api/usage/mine",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("token", "status", "reason"), [
    ("", 401, "not-logged-in"), ("never-made", 401, "not-logged-in"), ("x" * 5000, 401, None),
    ("t-stranger", 403, "not-allowed"), ("t-prometheus", 403, "not-allowed"),
])
def test_nobody_gets_in_without_access(
    standing: Running, path: str, token: str, status: int, reason: str | None
) -> None:
    with standing.client(token) as http:
        answer = http.get(path)
    error(answer, status, reason or "not-logged-in")
    assert "location" not in answer.headers


def test_a_hub_that_is_away_is_not_a_logout(service: Running) -> None:
    service.hub.broken = True
    with service.client("t-bo") as http:
        error(http.get("api/me"), 503, "unavailable")


# ---- what is seen ----------------------------------------------------------------------------


def test_a_student_sees_no_name_of_others(service: Running) -> None:
    mine, other = ask(service, "ana"), ask(service, "bo")
    ask(service, "teacher")  # nothing is left: in line
    with service.client("t-ana") as http:
        slices, line, leases = (http.get(f"api/{x}").json() for x in ("slices", "line", "leases"))
        ended = http.get("api/leases?all=1").json()
    text = json.dumps([slices, line, leases, ended])
    assert "bo" not in {x["user"] for x in slices + line}
    assert '"teacher"' not in text
    assert other not in text
    assert [x["id"] for x in leases] == [mine]
    assert sorted(x["state"] for x in slices) == ["free", "held", "held"]
    assert {x["uuid"] for x in slices} == {None}
    assert line == [{**line[0], "position": 1, "id": None, "user": None, "profile": "1g.5gb"}]


def test_an_operator_sees_all(service: Running) -> None:
    ids = [ask(service, x) for x in ("ana", "bo", "teacher")]
    with service.client("t-host") as http:
        slices, line, leases = (http.get(f"api/{x}").json() for x in ("slices", "line", "leases"))
    assert {x["user"] for x in slices} == {"ana", "bo", None}
    assert all(x["uuid"].startswith("MIG-") for x in slices)
    assert [(x["user"], x["id"], x["position"]) for x in line] == [("teacher", ids[2], 1)]
    assert {x["id"] for x in leases} == set(ids)
    assert {x["asked_at"][-1] for x in leases} == {"Z"}


def test_slices_lie_in_the_order_of_the_card(standing: Running) -> None:
    with standing.client("t-ana") as http:
        found = http.get("api/slices").json()
    assert [x["start"] for x in found] == sorted(x["start"] for x in found)
    assert {(x["profile"], x["memory"]) for x in found} == {("3g.20gb", 4), ("1g.5gb", 1)}


def test_images_are_told_with_their_titles(service: Running) -> None:
    with service.client("t-ana") as http:
        found = http.get("api/images").json()
    assert [x["image"] for x in found] == list(service.broker.settings.images)
    assert all(x["title"] for x in found)


def test_offers_count_what_is_free(service: Running) -> None:
    ask(service, "bo")
    with service.client("t-ana") as http:
        found = {x["profile"]: (x["free"], x["total"]) for x in http.get("api/offers").json()}
    assert found == {"1g.5gb": (1, 2), "3g.20gb": (1, 1)}


# ---- ending leases ---------------------------------------------------------------------------


def test_the_owner_leaves_the_line(service: Running) -> None:
    for user in ("bo", "teacher"):
        ask(service, user)
    mine = ask(service, "ana")
    with service.client("t-ana") as http:
        answer = http.delete(f"api/leases/{mine}")
        assert answer.json()["stage"] == "withdrawn"
        error(http.delete(f"api/leases/{mine}"), 404, "not-found")
        assert [x["stage"] for x in http.get("api/leases?all=1").json()] == ["withdrawn"]


def test_a_lease_of_others_is_as_if_it_were_not(service: Running) -> None:
    other = ask(service, "bo")
    with service.client("t-ana") as http:
        said = error(http.delete(f"api/leases/{other}"), 404, "not-found")
        never = error(http.delete("api/leases/0123456789abcdef"), 404, "not-found")
    assert said.replace(other, "") == never.replace("0123456789abcdef", "")
    assert service.broker.look(other).lease.stage is Stage.GRANTED
    with service.client("t-service") as http:  # named like a person, and still nobody
        mine = ask(service, "ana")
        error(http.delete(f"api/leases/{mine}"), 404, "not-found")


def test_an_operator_ends_a_lease_and_stays_unnamed(service: Running) -> None:
    other = ask(service, "bo")
    with service.client("t-operator") as http:
        error(http.delete(f"api/leases/{other}"), 400, "no-reason")
        said = {"reason": "the cards are cut anew"}
        assert http.delete(f"api/leases/{other}", params=said).status_code == 200
    with service.client("t-bo") as http:
        until(lambda: http.get("api/leases?all=1").json()[0]["stage"] == "released", "it is clean")
        cause = http.get("api/leases?all=1").json()[0]["cause"]
        assert cause == "ended by the operator: the cards are cut anew"
    assert ("bo", "") in service.broker.edges.hub.stopped  # type: ignore[attr-defined]


def test_a_run_whose_lease_is_ended_saves_first(service: Running) -> None:
    run = service.submit("t-bo").json()["id"]
    until(lambda: service.batch.get(run).stage == "running", "it runs")
    with service.client("t-bo") as http:
        assert http.delete(f"api/leases/{run}").status_code == 200
        # the paper engine answers SIGTERM with the runner's "interrupted, saved"
        until(lambda: service.batch.get(run).done, "it has ended")
        assert service.batch.get(run).exit_code == 75
        until(lambda: service.broker.look(run).lease.stage is Stage.RELEASED, "its slice is free")
        error(http.delete(f"api/leases/{run}"), 404, "not-found")


def test_a_run_that_leaves_the_line_by_its_lease_is_cancelled(service: Running) -> None:
    ask(service, "ana", "3g.20gb")
    run = service.submit("t-bo", profile="3g.20gb").json()["id"]
    with service.client("t-bo") as http:
        assert http.delete(f"api/leases/{run}").json()["stage"] == "withdrawn"
    assert service.batch.get(run).stage == "cancelled"


def test_a_runs_lease_without_a_run_ends_by_itself(service: Running) -> None:
    lease = service.broker.ask(
        user="bo", kind=Kind.RUN, name="r1", profile="1g.5gb", image=IMAGE, id="r1"
    ).id
    until(lambda: service.broker.look(lease).lease.stage is Stage.RELEASED, "its slice is free")


@pytest.mark.parametrize("id", [
    "nope", "..%2f..%2fetc%2fpasswd", "%00", "a" * 500, "%27%20OR%201=1", "%ED%95%9C",
])
@pytest.mark.parametrize("path", ["api/leases/{}", "api/runs/{}"])
def test_ids_that_are_none(standing: Running, id: str, path: str) -> None:
    with standing.client("t-host") as http:
        for answer in (http.delete(path.format(id)), http.get(f"api/runs/{id}/logs")):
            assert answer.status_code in (404, 405, 422)
            assert set(answer.json()["error"]) == {"message", "reason"}


@pytest.mark.parametrize("csv", ["", "nonsense", "name,group,role\nana,ml,boss", "\xff"])
def test_a_bad_roster_changes_nothing(standing: Running, csv: str) -> None:
    before = standing.broker.members()
    with standing.client("t-operator") as http:
        error(http.put("api/roster", content=csv.encode("latin-1")), 400, "roster")
    assert standing.broker.members() == before


def test_refusals_are_translated_logged_and_counted(
    standing: Running, caplog: pytest.LogCaptureFixture
) -> None:
    counted = REFUSALS.labels("image")._value.get()
    with caplog.at_level("INFO", "madang.service"):
        error(standing.submit(image='a\u2028b"evil'), 422, "bad-request")
        error(standing.submit(image="evil"), 400, "image")
    assert REFUSALS.labels("image")._value.get() == counted + 1
    assert "refused (image)" in caplog.text


@pytest.mark.parametrize(("path", "status"), [
    ("nothing", 404), ("api/nothing", 404), ("api/me/", 404),
])
def test_unknown_addresses(standing: Running, path: str, status: int) -> None:
    with standing.client("t-ana") as http:
        error(http.get(path), status, "not-found")
        assert http.post("api/me").status_code == 405


def test_openapi_has_every_route_and_form(standing: Running) -> None:
    with standing.client() as http:
        spec = http.get("openapi.json").json()
    routes = {
        f"{verb.upper()} {path.removeprefix('/services/madang/')}"
        for path, verbs in spec["paths"].items() for verb in verbs
    }
    assert routes == {
        "GET api/me", "GET api/offers", "GET api/images", "GET api/slices", "GET api/leases",
        "GET api/line",
        "POST api/slices/block", "DELETE api/slices/block",
        "GET api/leases/{id}", "DELETE api/leases/{id}", "POST api/leases/{id}/extend",
        "POST api/leases/{id}/activity", "GET api/reservations", "POST api/reservations",
        "DELETE api/reservations/{id}", "GET api/groups", "PUT api/groups/{name}",
        "DELETE api/groups/{name}", "GET api/usage", "GET api/usage/mine",
        "POST api/runs", "GET api/runs", "GET api/runs/{id}", "GET api/runs/{id}/logs",
        "GET api/runs/{id}/events", "DELETE api/runs/{id}", "GET api/events",
        "POST api/runs/{id}/rerun", "GET api/sweeps", "POST api/sweeps", "GET api/sweeps/{id}",
        "DELETE api/sweeps/{id}", "GET api/schedules", "POST api/schedules",
        "GET api/schedules/{id}", "PATCH api/schedules/{id}", "DELETE api/schedules/{id}",
        "POST api/schedules/{id}/run", "GET api/report", "GET api/runs/{id}/output",
        "GET api/runs/{id}/export", "GET api/runs/{id}/diff/{other}",
        "PUT api/roster", "GET health", "GET metrics", "GET grafana.json",
        "GET api/courses", "PUT api/courses/open",
        "POST api/courses/drafts", "DELETE api/courses/drafts/{id}",
        "GET api/courses/drafts/{id}", "GET api/courses/drafts/{id}/check",
        "POST api/courses/drafts/{id}/check", "GET api/courses/drafts/{id}/diff",
        "POST api/courses/drafts/{id}/publish", "GET api/courses/{course}",
        "POST api/courses/{course}/cells", "GET api/courses/{course}/collections",
        "POST api/courses/{course}/collections", "DELETE api/courses/{course}/collections/{name}",
        "POST api/courses/{course}/collections/{name}/again",
        "GET api/courses/{course}/collections/{name}/archive",
        "POST api/courses/{course}/collections/{name}/feedback", "POST api/courses/{course}/fresh",
        "DELETE api/courses/{course}/releases/{number}", "GET api/courses/{course}/students",
        "POST api/courses/{course}/update", "GET api/courses/{course}/updates",
        "GET api/courses/{course}/updates/{update}",
        "GET api/courses/{course}/updates/{update}/diff",
        "POST api/courses/{course}/updates/{update}/undo",
    }
    assert {"Run", "Offer", "SliceOut", "LeaseOut", "LineOut", "ErrorOut"} <= set(
        spec["components"]["schemas"]
    )

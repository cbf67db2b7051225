"""Slices, the line and leases over HTTP: who sees what, who may do what, and in whose words."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.core.lease import Stage
from tests.face.asking import ask, get
from tests.face.running import Running, empty_after, error, running, until

BIG = "3g.20gb"


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("standing"), timezone="Asia/Seoul") as made:
        yield made


@pytest.fixture
def service(standing: Running) -> Iterator[Running]:
    with empty_after(standing):
        yield standing


def post(service: Running, token: str, path: str, **body: Any) -> httpx.Response:
    with service.client(token) as http:
        return http.post(f"api/{path}", json=body)


def end(service: Running, token: str, id: str, **params: str) -> httpx.Response:
    with service.client(token) as http:
        return http.delete(f"api/leases/{id}", params=params)


def stage(service: Running, id: str) -> Stage:
    return service.broker.look(id).lease.stage


# ---- what is seen ----------------------------------------------------------------------------


def test_everybody_sees_until_when_and_nobody_whose(service: Running) -> None:
    ask(service, "bo", BIG)
    held = next(x for x in get(service, "t-cho", "slices") if x["profile"] == BIG)
    assert (held["state"], held["user"], held["lease"]) == ("held", None, None)
    promised, until_ = map(datetime.fromisoformat, (held["promised"], held["until"]))
    assert timedelta(minutes=59) < promised - datetime.now(UTC) <= timedelta(hours=1)
    assert timedelta(hours=11) < until_ - datetime.now(UTC) <= timedelta(hours=12)
    assert held["key"] == f"{held['node']}/{held['gpu']}/{BIG}/{held['start']}"


def test_an_instructor_knows_the_students_of_the_own_groups(service: Running) -> None:
    ask(service, "ana", "1g.5gb")
    ask(service, "cho", "1g.5gb")
    ask(service, "operator", BIG)
    waits = ask(service, "bo", BIG)
    ask(service, "teacher", BIG)
    shown = {x["user"] for x in get(service, "t-teacher", "slices")}
    assert shown == {"ana", None}
    line = get(service, "t-teacher", "line")
    assert [(x["user"], x["mine"], x["group"]) for x in line] == [
        ("bo", False, "ml"), ("teacher", True, "ml")
    ]
    assert {x["user"] for x in get(service, "t-teacher", "leases")} == {"ana", "bo", "teacher"}
    assert {x["user"] for x in get(service, "t-teacher", "leases?all=1")} == {
        "ana", "bo", "teacher"}
    assert get(service, "t-teacher", f"leases/{waits}")["user"] == "bo"
    # the same person's server runs whatever notebook is open in it
    assert {x["user"] for x in get(service, "t-teacher-server", "leases")} == {"teacher"}
    assert {x["user"] for x in get(service, "t-teacher-server", "slices")} == {None}


def test_me_names_the_groups_one_instructs(service: Running) -> None:
    assert get(service, "t-teacher", "me")["instructs"] == ["ml"]
    assert get(service, "t-teacher-server", "me")["instructs"] == []
    assert get(service, "t-ana", "me")["instructs"] == []


def test_who_waits_is_told_why_and_until_when(service: Running) -> None:
    ask(service, "bo", BIG)
    first, mine = ask(service, "teacher", BIG), ask(service, "ana", BIG)
    lease = get(service, "t-ana", f"leases/{mine}")
    assert lease["position"] == 2
    promised = service.broker.look(first)  # its place knows until when the holder is promised
    assert promised.place is not None
    assert promised.place.first_promised is not None
    seoul = promised.place.first_promised.astimezone(UTC) + timedelta(hours=9)
    assert lease["reason"] == (
        f"Waits for a 3g.20gb: 1 of 1 are held, the first is promised until {seoul:%H:%M} KST. "
        "1 before you in the line."
    ) or seoul.date() != (datetime.now(UTC) + timedelta(hours=9)).date()
    earliest, latest = (datetime.fromisoformat(lease[x]) for x in ("eta_earliest", "eta_latest"))
    assert datetime.now(UTC) - timedelta(minutes=1) < earliest < latest
    others, own = get(service, "t-ana", "line")
    assert (own["mine"], own["id"], own["reason"]) == (True, mine, lease["reason"])
    assert {others[x] for x in ("id", "user", "group", "reason", "eta_earliest", "eta_latest")} == {
        None}
    korean = get(service, "t-ana", f"leases/{mine}", **{"Accept-Language": "ko"})
    assert "기다립니다" in korean["reason"]
    assert "before it in the line" in get(service, "t-host", f"leases/{mine}")["reason"]


def test_a_slice_that_is_kept_for_a_class_is_not_shown_as_free(service: Running) -> None:
    now = datetime.now(UTC) + timedelta(hours=9)
    body = {"group": "vision", "profile": BIG, "count": 1,
            "begins": f"{now:%Y-%m-%dT%H:%M}", "ends": f"{now + timedelta(hours=2):%Y-%m-%dT%H:%M}"}
    made = post(service, "t-operator", "reservations", **body)
    assert made.status_code == 201, made.text
    states = {x["profile"]: x["state"] for x in get(service, "t-ana", "slices")}
    assert states == {"1g.5gb": "free", BIG: "reserved"}
    mine = ask(service, "ana", BIG)
    assert "reserved for others until" in get(service, "t-ana", f"leases/{mine}")["reason"]
    theirs = ask(service, "cho", BIG)
    lease = get(service, "t-cho", f"leases/{theirs}")
    assert (lease["stage"], lease["reservation"]) == ("granted", made.json()["id"])


# ---- ending ----------------------------------------------------------------------------------


def test_an_instructor_ends_a_students_lease_and_says_why(service: Running) -> None:
    id = ask(service, "ana", BIG)
    assert end(service, "t-teacher", id, reason="the class begins").status_code == 200
    told = get(service, "t-ana", f"leases/{id}")
    assert told["why"] == "hand"
    assert told["cause"] == "ended by teacher: the class begins"
    assert told["reason"] == (
        "It was ended by teacher: the class begins. Your files are safe."
    )
    assert "끝냈습니다" in get(
        service, "t-ana", f"leases/{id}", **{"Accept-Language": "ko"})["reason"]
    until(lambda: stage(service, id) is Stage.RELEASED, "it is clean")


def test_an_operators_reason_is_read_too(service: Running) -> None:
    id = ask(service, "ana", BIG)
    end(service, "t-operator", id, reason="  a fan is broken.  ")
    assert get(service, "t-ana", f"leases/{id}")["reason"] == (
        "It was ended by the operator: a fan is broken. Your files are safe."
    )
    assert "운영자" in get(
        service, "t-ana", f"leases/{id}", **{"Accept-Language": "ko"})["reason"]


@pytest.mark.parametrize(("token", "params"), [
    ("t-teacher", {}), ("t-operator", {"reason": "  "}), ("t-host", {}),
])
def test_whoever_ends_anothers_lease_says_why(
    service: Running, token: str, params: dict[str, str]
) -> None:
    held, waits = ask(service, "ana", BIG), ask(service, "bo", BIG)
    run = service.submit("t-bo", profile=BIG).json()["id"]
    for id, user in ((held, "ana"), (waits, "bo"), (run, "bo")):
        said = error(end(service, token, id, **params), 400, "no-reason")
        assert user in said
        assert f"madang lease end {id} --reason" in said
        assert stage(service, id) in (Stage.GRANTED, Stage.WAITING)
    assert end(service, "t-host", run, reason="the fan").json()["stage"] == "withdrawn"
    assert service.batch.get(run).message == "cancelled by the operator: the fan"
    # what is one's own, and a run by its own verb, need none
    assert end(service, "t-bo", waits).status_code == 200
    again = service.submit("t-bo", profile=BIG).json()["id"]
    with service.client("t-operator") as http:
        assert http.delete(f"api/runs/{again}").json()["stage"] == "cancelled"


@pytest.mark.parametrize("token", ["t-teacher", "t-bo", "t-teacher-server"])
def test_nobody_ends_what_is_not_theirs_to_end(service: Running, token: str) -> None:
    id = ask(service, "cho", BIG)
    for answer in (
        end(service, token, id), post(service, token, f"leases/{id}/extend"),
        post(service, token, f"leases/{id}/activity", last_activity="2026-01-01T00:00:00Z"),
    ):
        error(answer, 404, "not-found")
    with service.client(token) as http:
        error(http.get(f"api/leases/{id}"), 404, "not-found")
    assert stage(service, id) is Stage.GRANTED


@pytest.mark.parametrize("reason", ["a\0b", "two\nlines", "\x1b[31mred", "x" * 201, "\u202eevil"])
def test_a_reason_is_one_line_of_text(service: Running, reason: str) -> None:
    id = ask(service, "ana", BIG)
    error(end(service, "t-operator", id, reason=reason), 422, "bad-request")
    assert stage(service, id) is Stage.GRANTED


# ---- more time -------------------------------------------------------------------------------


def test_more_time_where_nobody_waits(service: Running) -> None:
    id = ask(service, "ana", BIG)
    before = get(service, "t-ana", f"leases/{id}")
    assert (before["can_extend"], before["no_extend"]) == (True, None)
    answer = post(service, "t-ana-server", f"leases/{id}/extend")
    assert answer.status_code == 200, answer.text
    assert answer.json()["promised"] > before["promised"]


def test_no_more_time_while_somebody_waits(service: Running) -> None:
    id = ask(service, "ana", BIG)
    ask(service, "bo", BIG)
    said = error(post(service, "t-ana", f"leases/{id}/extend"), 409, "somebody-waits")
    lease = get(service, "t-ana", f"leases/{id}")
    assert (lease["can_extend"], lease["no_extend"]) == (False, said)
    # whose it is not, is told nothing of it
    assert get(service, "t-host", f"leases/{id}")["no_extend"] is None


def test_who_waits_or_has_ended_has_nothing_to_extend(service: Running) -> None:
    held, waits = ask(service, "bo", BIG), ask(service, "ana", BIG)
    error(post(service, "t-ana", f"leases/{waits}/extend"), 409, "not-held")
    end(service, "t-ana", waits)
    error(post(service, "t-ana", f"leases/{waits}/extend"), 404, "not-found")
    error(post(service, "t-teacher", f"leases/{held}/extend"), 403, "not-allowed")


def test_no_more_time_than_the_longest_hold(tmp_path: Path) -> None:
    with running(tmp_path, min_hold=60, max_hold=60) as service:
        id = ask(service, "ana", BIG)
        error(post(service, "t-ana", f"leases/{id}/extend"), 409, "at-limit")


def test_no_more_time_than_the_quota(service: Running) -> None:
    id = ask(service, "ana", BIG)
    with service.client("t-operator") as http:
        assert http.put("api/groups/ml", json={"user_quota": 0.1}).status_code == 200
    error(post(service, "t-ana", f"leases/{id}/extend"), 409, "quota")


# ---- what a server tells ---------------------------------------------------------------------


def test_a_server_tells_when_it_was_at_work(service: Running) -> None:
    id = ask(service, "ana", "1g.5gb")
    at = datetime.now(UTC) - timedelta(minutes=20)
    answer = post(
        service, "t-ana-server", f"leases/{id}/activity", last_activity=at.isoformat(),
        busy=False, terminals=1, kernels=2, later="a newer image tells more",
    )
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"promised", "until", "leave_by", "notice", "waiting"}
    assert answer.json()["waiting"] == 0
    # given only now: before that nobody could be idle on it
    lease = service.broker.look(id).lease
    assert lease.heard_at is not None
    post(service, "t-ana-server", f"leases/{id}/activity", last_activity=at.isoformat(), busy=True)
    lease = service.broker.look(id).lease
    assert lease.active_at is not None
    assert datetime.now(UTC) - lease.active_at < timedelta(seconds=20)


@pytest.mark.parametrize("body", [
    {}, {"last_activity": "yesterday"}, {"last_activity": "2026-01-01T00:00:00"},
    {"last_activity": "2026-01-01T00:00:00Z", "kernels": -1},
    {"last_activity": "2026-01-01T00:00:00Z", "busy": "very"},
])
def test_what_no_server_tells(service: Running, body: dict[str, Any]) -> None:
    id = ask(service, "ana", BIG)
    error(post(service, "t-ana", f"leases/{id}/activity", **body), 422, "bad-request")


def test_nobody_else_tells_for_a_server(service: Running) -> None:
    id = ask(service, "ana", BIG)
    body = {"last_activity": "2026-01-01T00:00:00Z"}
    for token in ("t-operator", "t-host", "t-teacher"):
        error(post(service, token, f"leases/{id}/activity", **body), 403, "not-allowed")


def test_a_clock_that_goes_ahead_is_not_believed(service: Running) -> None:
    id = ask(service, "ana", BIG)
    post(service, "t-ana", f"leases/{id}/activity", last_activity="9999-12-31T23:59:59Z")
    lease = service.broker.look(id).lease
    assert lease.active_at is not None
    assert lease.active_at <= datetime.now(UTC)


# ---- slices out of use -----------------------------------------------------------------------


def block(service: Running, token: str, key: str, reason: str = "a fan is loud") -> httpx.Response:
    return post(service, token, "slices/block", slice=key, reason=reason)


def unblock(service: Running, token: str, key: str) -> httpx.Response:
    with service.client(token) as http:
        return http.request("DELETE", "api/slices/block", json={"slice": key})


def test_a_blocked_slice_is_given_to_nobody_and_keeps_its_holder(service: Running) -> None:
    key = next(x["key"] for x in get(service, "t-host", "slices") if x["profile"] == BIG)
    held = ask(service, "ana", BIG)
    assert block(service, "t-operator", key).json()["state"] == "held"
    assert stage(service, held) is Stage.GRANTED
    end(service, "t-ana", held)
    until(lambda: stage(service, held) is Stage.RELEASED, "it is clean")
    waits = ask(service, "bo", BIG)
    assert "1 of them can be given to nobody" in get(service, "t-bo", f"leases/{waits}")["reason"]
    seen = {t: next(x for x in get(service, t, "slices") if x["key"] == key)
            for t in ("t-bo", "t-teacher", "t-host")}
    assert {x["state"] for x in seen.values()} == {"blocked"}
    assert [x["blocked"] for x in seen.values()] == [None, "a fan is loud", "a fan is loud"]
    assert unblock(service, "t-operator", key).json()["blocked"] is None
    until(lambda: stage(service, waits) is Stage.GRANTED, "it is given again")


@pytest.mark.parametrize("token", ["t-ana", "t-teacher", "t-service"])
def test_only_operators_take_slices_out_of_use(service: Running, token: str) -> None:
    key = get(service, "t-host", "slices")[0]["key"]
    error(block(service, token, key), 403, "not-allowed")
    error(unblock(service, token, key), 403, "not-allowed")


@pytest.mark.parametrize("token", ["t-operator-server", "t-teacher-server"])
def test_a_servers_token_is_told_what_to_take_instead(service: Running, token: str) -> None:
    said = error(block(service, token, "n/g/p/0"), 403, "not-allowed")
    assert "MADANG_TOKEN" in said


@pytest.mark.parametrize(("key", "status", "reason"), [
    ("node1/GPU-0/3g.20gb/0", 404, "not-found"), ("nonsense", 404, "not-found"),
    ("a/b/c/" + "9" * 290, 404, "not-found"), ("a/b/c/-1", 404, "not-found"),
    ("a/b/c/\u0661", 404, "not-found"), ("", 422, "bad-request"), ("a\0b", 422, "bad-request"),
    ("x" * 301, 422, "bad-request"),
])
def test_slices_that_are_none(service: Running, key: str, status: int, reason: str) -> None:
    error(block(service, "t-operator", key), status, reason)
    error(unblock(service, "t-operator", key), status, reason)


@pytest.mark.parametrize("why", ["", "a\0b", "x" * 201])
def test_a_block_says_why(service: Running, why: str) -> None:
    key = get(service, "t-host", "slices")[0]["key"]
    error(block(service, "t-operator", key, why), 422, "bad-request")
    error(block(service, "t-operator", key, "   "), 400, "bad-request")

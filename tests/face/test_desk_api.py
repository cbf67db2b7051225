"""Reservations and groups over HTTP: who may do what, and what cannot be."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from hub.core.roster import parse
from hub.core.rules import Group
from tests.face.asking import BOSS, ask, call, get, put
from tests.face.running import Running, empty_after, error, running

SEOUL = ZoneInfo("Asia/Seoul")
LATER = f"{datetime.now(SEOUL).year + 1}-02-28"
BOTH = "name,group,role\nana,ml,student\nana,vision,student\noperator,staff,operator\n"
WEEKLY = {
    "group": "ml", "profile": "1g.5gb", "count": 2, "days": ["mon", "수"], "start": "10:00",
    "end": "12:00", "note": "practice",
}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("standing"), timezone="Asia/Seoul") as made:
        yield made


@pytest.fixture
def service(standing: Running) -> Iterator[Running]:
    with empty_after(standing):
        yield standing


def reserve(service: Running, token: str = BOSS, **changes: Any) -> httpx.Response:
    return call(service, token, "POST", "reservations", json=WEEKLY | changes)


def span(**changes: Any) -> dict[str, Any]:
    """One span that begins tomorrow at nine, Seoul time."""
    day = (datetime.now(SEOUL) + timedelta(days=1)).date()
    return {
        "days": [], "start": "", "end": "", "begins": f"{day}T09:00", "ends": f"{day}T18:00",
    } | changes


# ---- reservations ----------------------------------------------------------------------------


def test_hours_of_the_week_are_reserved_and_seen_by_all(service: Running) -> None:
    made = reserve(service, "t-teacher")
    assert made.status_code == 201, made.text
    one = made.json()
    today = datetime.now(SEOUL).date().isoformat()
    assert one == {
        "id": one["id"], "group": "ml", "profile": "1g.5gb", "count": 2, "zone": "Asia/Seoul",
        "note": "practice", "made_by": "teacher", "kind": "weekly", "days": ["mon", "wed"],
        "start": "10:00", "end": "12:00", "first": today, "last": None, "begins": None,
        "ends": None, "next": one["next"],
    }
    assert one["next"]["begins"][-10:] == "T01:00:00Z"  # ten o'clock in Seoul
    seen = get(service, "t-cho", "reservations")
    assert seen["reservations"] == [one | {"made_by": None}]
    assert 3 <= len(seen["windows"]) <= 5
    assert seen["windows"][0] == {
        **one["next"], "id": one["id"], "group": "ml", "profile": "1g.5gb", "count": 2,
        "title": "practice",
    }
    assert get(service, "t-host", "reservations")["reservations"][0]["made_by"] == "teacher"
    gone = call(service, "t-teacher", "DELETE", f"reservations/{one['id']}")
    assert gone.json()["id"] == one["id"]
    assert get(service, "t-ana", "reservations") == {"reservations": [], "windows": []}


def test_a_span_is_reserved_and_a_check_reserves_nothing(service: Running) -> None:
    checked = call(service, "t-operator", "POST", "reservations?dry_run=1", json=WEEKLY | span())
    assert (checked.status_code, checked.json()["id"]) == (200, "")
    assert get(service, "t-host", "reservations")["reservations"] == []
    made = reserve(service, **span()).json()
    assert (made["kind"], made["days"]) == ("span", None)
    assert made["begins"].endswith("T09:00")
    assert made["next"]["begins"].endswith("T00:00:00Z")


def test_the_weeks_that_are_shown_can_be_chosen(service: Running) -> None:
    reserve(service, days=["mon"])
    first = datetime.now(SEOUL).date() + timedelta(days=200)
    monday = first - timedelta(days=first.weekday())
    shown = get(service, "t-ana", f"reservations?weeks=3&begin={monday}")["windows"]
    assert [x["begins"] for x in shown] == [
        f"{monday + timedelta(weeks=i)}T01:00:00Z" for i in range(3)
    ]


@pytest.mark.parametrize("query", [
    "weeks=0", "weeks=9", "weeks=x", "begin=yesterday", "begin=0001-01-01", "begin=9999-12-31",
    "begin=%00", "begin=" + "x" * 65,
])
def test_weeks_that_cannot_be_shown(service: Running, query: str) -> None:
    answer = call(service, "t-ana", "GET", f"reservations?{query}")
    error(answer, answer.status_code, "bad-request")
    assert answer.status_code in (400, 422)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"count": 0}, "reservation"), ({"count": -1}, "reservation"), ({"count": 3}, "reservation"),
    ({"profile": "9g.90gb"}, "reservation"), ({"zone": "Asia/Pyeongyang"}, "reservation"),
    ({"zone": "../../etc/passwd"}, "reservation"),
    ({"start": "12:00", "end": "10:00"}, "reservation"),
    ({"start": "25:00"}, "reservation"), ({"days": ["funday"]}, "reservation"),
    ({"days": []}, "reservation"), ({"last": "2020-01-01"}, "reservation"),
    ({"first": "2026-02-30"}, "reservation"),
    (span(begins="2020-01-01T09:00", ends="2020-01-01T18:00"), "reservation"),
    (span(ends=""), "reservation"), (span() | {"days": ["mon"]}, "reservation"),
    ({"group": "nobody"}, "group"), ({"group": ""}, "group"),
]


@pytest.mark.parametrize(("changes", "reason"), BAD)
def test_what_cannot_be_reserved(service: Running, changes: dict[str, Any], reason: str) -> None:
    error(reserve(service, **changes), 400, reason)
    assert get(service, "t-host", "reservations")["reservations"] == []


def test_a_time_that_the_clock_skips_is_refused_with_the_next_one(service: Running) -> None:
    # the clock of Berlin goes from 2:00 to 3:00 on the last Sunday of March
    year = datetime.now(UTC).year + 1
    day = max(d for d in range(25, 32) if datetime(year, 3, d, tzinfo=UTC).weekday() == 6)
    skipped = f"{year}-03-{day}T02:30"
    when = span(begins=skipped, ends=f"{year}-03-{day}T09:00")
    said = error(reserve(service, zone="Europe/Berlin", **when), 400, "reservation")
    assert "does not exist" in said
    assert "03:00" in said


@pytest.mark.parametrize("changes", [
    {"note": "a\0b"}, {"note": "x" * 201}, {"note": "two\nlines"}, {"group": "m\0l"},
    {"zone": "\x1b"}, {"days": ["mo\0n"]}, {"days": ["mon"] * 51}, {"count": "many"},
    {"count": 1.5}, {"count": 10**30}, {"color": "red"}, {"start": "x" * 65},
])
def test_what_is_no_reservation_at_all(service: Running, changes: dict[str, Any]) -> None:
    error(reserve(service, **changes), 422, "bad-request")


def test_a_conflict_names_who_is_in_the_way_and_when_it_would_fit(service: Running) -> None:
    assert reserve(service).status_code == 201
    said = error(
        reserve(service, group="vision", count=1, days=["mon"], start="11:00", end="13:00"),
        409, "reservation-conflict",
    )
    assert "ml" in said
    assert "12:00" in said


def test_instructors_reserve_for_their_own_groups(service: Running) -> None:
    for token in ("t-teacher", "t-ana", "t-service", "t-teacher-server"):
        error(reserve(service, token, group="vision"), 403, "not-allowed")
    for token in ("t-ana", "t-teacher-server", "t-operator-server", "t-fake-host"):
        error(reserve(service, token), 403, "not-allowed")
    theirs = reserve(service, "t-host", group="vision").json()["id"]
    error(call(service, "t-teacher", "DELETE", f"reservations/{theirs}"), 403, "not-allowed")
    error(call(service, "t-teacher", "DELETE", "reservations/nope"), 404, "not-found")
    assert len(get(service, "t-host", "reservations")["reservations"]) == 1


# ---- groups ----------------------------------------------------------------------------------


def test_groups_are_those_of_the_roster_and_those_with_settings(service: Running) -> None:
    shown = {x["name"]: x for x in get(service, "t-ana", "groups")}
    assert set(shown) == {"ml", "vision", "staff"}
    assert shown["ml"] == {
        "name": "ml", "weight": 1.0, "quota": None, "user_quota": None, "ends": None,
        "members": 3, "instructors": 1, "instructor_names": None,
        "share": pytest.approx(1 / 3, abs=1e-4), "use": 0.0, "week_used": 0.0,
    }
    made = call(service, BOSS, "PUT", "groups/인공지능-2025?create=true", json={
        "weight": 3, "quota": "40h", "user_quota": 8.5, "ends": LATER})
    assert made.status_code == 200, made.text
    assert made.json() | {"share": 0} == {
        "name": "인공지능-2025", "weight": 3.0, "quota": 40.0, "user_quota": 8.5,
        "ends": LATER, "members": 0, "instructors": 0, "instructor_names": [],
        "share": 0, "use": 0.0, "week_used": 0.0,
    }
    shown = {x["name"]: x for x in get(service, "t-host", "groups")}
    assert shown["인공지능-2025"]["share"] == 0.5
    assert shown["ml"]["instructor_names"] == ["teacher"]


def test_what_is_left_out_stays_and_null_is_no_limit(service: Running) -> None:
    put(service, "ml", weight=2, quota=10, ends=LATER)
    assert put(service, "ml", quota=None).json()["quota"] is None
    after = put(service, "ml", ends="none", user_quota="").json()
    assert (after["weight"], after["quota"], after["ends"]) == (2.0, None, None)
    assert call(service, "t-operator", "DELETE", "groups/ml").json() == {"name": "ml"}
    shown = next(x for x in get(service, "t-ana", "groups") if x["name"] == "ml")
    assert (shown["weight"], shown["members"]) == (1.0, 3)


@pytest.mark.parametrize("changes", [
    {"weight": 0}, {"weight": -1}, {"weight": 1001}, {"weight": "heavy"}, {"weight": None},
    {"weight": "1e3"}, {"weight": ""}, {"quota": "40 days"}, {"quota": -1}, {"quota": "-1h"},
    {"quota": "1e9999"}, {"quota": 10**9}, {"user_quota": "forty"}, {"ends": "2026-02-30"},
    {"ends": "20260228"}, {"ends": "tomorrow"}, {"quota": 1, "weight": 0},
    {"ends": "2020-01-01"}, {"quota": 0}, {"user_quota": "0h"},
])
def test_settings_that_cannot_be(service: Running, changes: dict[str, Any]) -> None:
    error(put(service, "ml", **changes), 400, "group")
    shown = next(x for x in get(service, "t-ana", "groups") if x["name"] == "ml")
    assert (shown["weight"], shown["quota"], shown["ends"]) == (1.0, None, None)


def test_every_wrong_setting_is_named(service: Running) -> None:
    said = error(put(service, "ml", weight=0, quota="x", ends="y"), 400, "group")
    assert all(x in said for x in ("weight '0", "quota 'x'", "last day 'y'"))


def test_a_mistyped_group_is_refused_with_the_right_ones(service: Running) -> None:
    said = error(put(service, "m1", weight=2), 404, "not-found")
    assert all(x in said for x in ("'m1'", "ml, staff, vision", "--create"))
    error(call(service, BOSS, "PUT", "groups/m1?create=0", json={"weight": 2}), 404, "not-found")
    assert len(get(service, "t-ana", "groups")) == 3
    assert call(service, BOSS, "PUT", "groups/m1?create=true", json={}).json()["weight"] == 1.0
    assert put(service, "m1", weight=2).json()["weight"] == 2.0


def test_numbers_that_json_has_not(service: Running) -> None:
    with service.client("t-operator") as http:
        for value in ("NaN", "Infinity", "1e999"):
            answer = http.put(
                "api/groups/ml", content=f'{{"weight": {value}}}',
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize("changes", [
    {"weight": "1\0"}, {"colour": "red"}, {"quota": []}, {"ends": 5}, {"weight": "x" * 65},
])
def test_what_is_no_setting(service: Running, changes: dict[str, Any]) -> None:
    error(put(service, "ml", **changes), 422, "bad-request")


@pytest.mark.parametrize(("name", "status"), [
    ("-x", 400), ("a b", 400), ("%00", 422), ("a%0Ab", 422), ("x" * 65, 422), ("..%2f", 404),
    ("%EF%BC%9D1", 400), ("=1", 400),
])
def test_names_that_no_group_has(service: Running, name: str, status: int) -> None:
    assert put(service, name, weight=1).status_code == status
    assert len(get(service, "t-ana", "groups")) == 3


@pytest.mark.parametrize("token", ["t-ana", "t-teacher", "t-operator-server", "t-service"])
def test_only_operators_change_groups(service: Running, token: str) -> None:
    error(put(service, "ml", token, weight=9), 403, "not-allowed")
    error(call(service, token, "DELETE", "groups/ml"), 403, "not-allowed")


def test_a_group_that_nobody_knows_cannot_be_removed(service: Running) -> None:
    error(call(service, "t-operator", "DELETE", "groups/nope"), 404, "not-found")


def test_a_group_that_has_ended_asks_no_more(service: Running) -> None:
    with service.broker.edges.store.write() as unit:
        ended = {"ml": Group("ml", ends=date(2020, 1, 1))}
        unit.state = replace(unit.state, house=replace(unit.state.house, groups=ended))
    with service.client("t-ana") as http:
        answer = http.post("api/runs", json={
            "notebook_name": "n.ipynb", "profile": "1g.5gb", "notebook": {
                "nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []},
        })
    error(answer, 400, "group-ended")
    # who is in another group too asks in its name
    service.broker.set_members(parse(BOTH, "roster"))
    lease = ask(service, "ana")
    assert service.broker.look(lease).lease.request.group == "vision"


def test_a_run_asks_in_the_name_of_the_group_that_is_named(service: Running) -> None:
    service.broker.set_members(parse(BOTH, "roster"))
    ask(service, "operator", "3g.20gb")
    for given, group in (({"group": "vision"}, "vision"), ({"group": "ml"}, "ml"), ({}, "ml")):
        made = service.submit("t-ana", profile="3g.20gb", **given)
        assert made.status_code == 201, made.text
        run = made.json()
        assert run["group"] == given.get("group", "")
        assert service.broker.look(run["id"]).lease.request.group == group
    said = error(service.submit("t-ana", group="staff"), 400, "group")
    assert "ml, vision" in said
    error(service.submit("t-ana", group="m\0l"), 422, "bad-request")
    # whoever submits for somebody: it is that person's group that counts
    error(service.submit(BOSS, user="ana", group="staff"), 400, "group")
    assert service.submit(BOSS, user="ana", group="vision").status_code == 201


@pytest.mark.parametrize("path", [
    "slices", "line", "leases", "reservations", "groups", "usage", "usage?format=csv", "runs", "me",
])
def test_answers_name_the_time_zone_that_their_sentences_are_in(
    service: Running, path: str
) -> None:
    answer = call(service, "t-ana", "GET", path)
    assert (answer.status_code, answer.headers["Madang-Timezone"]) == (200, "Asia/Seoul")


def test_what_became_of_a_run_is_told_in_the_readers_language(service: Running) -> None:
    ask(service, "operator", "3g.20gb")
    run = service.submit("t-ana", profile="3g.20gb").json()["id"]
    korean = {"Accept-Language": "ko"}
    said = "ana이(가) 취소했습니다"
    with service.client("t-ana", **korean) as http:
        assert http.delete(f"api/runs/{run}").json()["message"] == said
        assert http.get(f"api/runs/{run}").json()["message"] == said
        assert http.get("api/runs").json()[0]["message"] == said
        assert said in http.get(f"api/runs/{run}/events").text  # one that has ended ends with it
        with http.stream("GET", "api/events") as live:
            assert live.headers["Madang-Timezone"] == "Asia/Seoul"
            state = next(x for x in live.iter_lines() if x.startswith("data: {"))
    assert said in state
    assert get(service, "t-ana", f"runs/{run}")["message"] == "cancelled by ana"

"""Usage over HTTP: whose rows somebody sees, a table for spreadsheets, one's own week."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from hub.core.roster import Member, Role
from hub.errors import Refusal
from tests.face.asking import ask, call, get, put
from tests.face.running import Running, empty_after, error, running

SEOUL = ZoneInfo("Asia/Seoul")


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("standing"), timezone="Asia/Seoul") as made:
        yield made


@pytest.fixture
def service(standing: Running) -> Iterator[Running]:
    with empty_after(standing):
        yield standing


def used(service: Running) -> None:
    """ana and bo of ml, and cho of vision, have had a slice."""
    for user, profile in (("ana", "1g.5gb"), ("bo", "1g.5gb"), ("cho", "3g.20gb")):
        ask(service, user, profile)


def rows(service: Running, token: str, query: str = "") -> list[tuple[str, str | None]]:
    return [(x["group"], x["user"]) for x in get(service, token, f"usage?since=1h&{query}")]


def test_who_sees_whose_usage(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        used(service)
        everybody = [("ml", "ana"), ("ml", "bo"), ("vision", "cho")]
        assert rows(service, "t-operator") == rows(service, "t-host") == everybody
        assert rows(service, "t-ana") == [("ml", "ana"), ("ml", None), ("vision", None)]
        assert rows(service, "t-teacher") == [("ml", "ana"), ("ml", "bo"), ("vision", None)]
        assert rows(service, "t-teacher-server") == [("ml", None), ("vision", None)]
        for token in ("t-ana", "t-host", "t-service"):
            assert rows(service, token, "by=group") == [("ml", None), ("vision", None)]
        found = get(service, "t-ana", "usage?since=1h")
        assert {x["leases"] for x in found} == {1}
        assert all(x["wait_seconds_mean"] < 5 for x in found)
        assert {x["idle_hours"] for x in found} == {None}


def test_usage_for_a_spreadsheet(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        name = "=1+1|cmd"
        members = (Member(name, "ml", Role.STUDENT), Member("operator", "staff", Role.OPERATOR))
        service.broker.set_members(members)
        ask(service, name)
        answer = call(service, "t-operator", "GET", "usage?since=1h&format=csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.content.startswith(b"\xef\xbb\xbfgroup,user,slice_hours,idle_hours,leases,")
        read = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
        assert [(x["group"], x["user"], x["leases"]) for x in read] == [("ml", f"'{name}", "1")]


@pytest.mark.parametrize(("query", "status"), [
    ("since=soon", 400), ("since=%00", 422), ("since=2026-02-30", 400), ("since=-7d", 400),
    ("since=99999d", 400), ("by=nobody", 422), ("format=xml", 422),
    ("since=1h&until=2h", 400), ("since=2999-01-01", 400), ("since=0001-01-01", 400),
    ("since=0002-01-01", 200), ("since=9999w", 200), ("until=9999-12-31", 200),
    ("since=9999-12-31T23:59:59-14:00", 400),
])
def test_times_of_usage(service: Running, query: str, status: int) -> None:
    answer = call(service, "t-ana", "GET", f"usage?{query}")
    assert answer.status_code == status, answer.text
    if status != 200:
        error(answer, status, "bad-request")


def test_ones_own_use_of_the_week(service: Running) -> None:
    put(service, "ml", user_quota=8, quota=100)
    mine = get(service, "t-ana", "usage/mine")
    assert (mine["group"], mine["quota"], mine["left"]) == ("ml", 8.0, 8.0)
    week = [datetime.fromisoformat(mine[x]) for x in ("week_begins", "week_ends")]
    assert week[1] - week[0] == timedelta(weeks=1)
    assert week[0].astimezone(SEOUL).strftime("%a %H:%M") == "Mon 00:00"
    assert [x["group"] for x in mine["groups"]] == ["ml"]
    # a service that is named like ana has used nothing, and is told of nobody
    assert get(service, "t-service", "usage/mine")["group"] == ""
    assert get(service, "t-host", "usage/mine")["used"] == 0


def test_a_quota_that_is_used_up_refuses_and_says_until_when(service: Running) -> None:
    put(service, "ml", user_quota="0.5h")
    with pytest.raises(Refusal) as refused:
        ask(service, "ana")  # a server is promised an hour
    assert refused.value.reason == "quota"
    assert "00:00" in refused.value.message
    assert "0.50 slice-hours are left" in refused.value.message
    assert ask(service, "cho")
    put(service, "ml", user_quota="1.5h")
    assert ask(service, "ana")

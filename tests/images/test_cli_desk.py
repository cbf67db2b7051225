"""The line's and the desk's verbs on the command line, against a service over real HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from tests.images.service import SLICES, Service
from tests.images.test_cli import madang

HELD = {
    "id": "l1", "user": "kim", "kind": "server", "profile": "3g.20gb", "stage": "running",
    "slice": "n/GPU/3g.20gb@0", "asked_at": "2026-01-01T09:00:00Z",
    "promised": "2026-01-01T10:00:00Z", "until": "2026-01-01T21:00:00Z", "notice": None,
    "leave_by": None, "cause": "",
}
TOLD = HELD | {"notice": "idle", "leave_by": "2026-01-01T09:35:00Z"}
WAITING = HELD | {"id": "l2", "kind": "run", "stage": "waiting", "promised": None, "until": None}
THEIRS = HELD | {"id": "l9", "user": "lee"}
WEEKLY = {
    "id": "r1", "group": "ai", "profile": "1g.5gb", "count": 2, "zone": "Asia/Seoul",
    "note": "practice", "made_by": None, "kind": "weekly", "days": ["mon", "wed"],
    "start": "10:00", "end": "12:00", "first": "2026-11-23", "last": None, "begins": None,
    "ends": None, "next": {"begins": "2026-11-23T01:00:00Z", "ends": "2026-11-23T03:00:00Z"},
}
SPAN = WEEKLY | {
    "id": "r2", "kind": "span", "days": None, "begins": "2026-12-01T09:00",
    "ends": "2026-12-03T18:00", "next": None,
}
GROUP = {
    "name": "인공지능-2025", "weight": 2.0, "quota": 40.0, "user_quota": None, "ends": None,
    "members": 10, "instructors": 1, "instructor_names": None, "share": 0.667, "use": 0.5,
    "week_used": 12.5,
}
USED = {"group": "ai", "user": None, "slice_hours": 3.55, "idle_hours": None, "leases": 2,
        "wait_seconds_mean": 3700.0, "wait_seconds_p95": 59.0}
CSV = "\ufeffgroup,user\r\nai,김민수\r\n"


class DeskService(Service):
    """The same service with a desk; `told` are bodies and queries that it was sent.

    `zone`: the time zone that its answers name, "" for none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.zone = ""

    async def _watch(self, request: Request, call_next: Any) -> Any:
        answer = await super()._watch(request, call_next)
        if self.zone:
            answer.headers["Madang-Timezone"] = self.zone
        return answer

    def _app(self) -> FastAPI:
        app, base = super()._app(), "/services/madang/api"
        app.post(base + "/leases/{id}/extend")(lambda id: HELD | {"id": id})
        app.get(base + "/reservations")(lambda: {"reservations": [WEEKLY, SPAN], "windows": []})
        app.post(base + "/reservations", status_code=201)(self._reserve)
        app.delete(base + "/reservations/{id}")(lambda id: WEEKLY | {"id": id})
        app.get(base + "/groups")(lambda: [GROUP])
        app.put(base + "/groups/{name}")(self._set)
        app.delete(base + "/groups/{name}")(lambda name: {"name": name})
        app.get(base + "/usage")(self._usage)
        app.post(base + "/slices/block")(self._block)
        app.delete(base + "/slices/block")(self._block)
        return app

    async def _reserve(self, request: Request) -> Any:
        body = await request.json()
        self.told.append((dict(request.query_params), body))
        if body["count"] == 0:
            return JSONResponse(
                {"error": {"message": "At least one slice.", "reason": "reservation"}}, 400)
        return WEEKLY

    async def _set(self, name: str, request: Request) -> Any:
        self.told.append((name, request.query_params["create"], await request.json()))
        return GROUP | {"name": name}

    def _usage(self, request: Request) -> Any:
        self.told.append(dict(request.query_params))
        return PlainTextResponse(CSV) if "format" in request.query_params else [
            USED, USED | {"user": "kim", "idle_hours": 0.5}]

    async def _block(self, request: Request) -> Any:
        self.told.append((request.method, await request.json()))
        return {"key": "n/g/1g.5gb/4", "state": "blocked"}


@pytest.fixture(scope="module")
def running() -> Iterator[DeskService]:
    with DeskService() as service:
        yield service


@pytest.fixture
def service(running: DeskService) -> DeskService:
    running.told, running.asked, running.leases, running.zone = [], [], [], ""
    return running


# ---- leases ----------------------------------------------------------------------------------


def test_leases_say_until_when_and_why_they_are_asked_back(service: DeskService) -> None:
    service.leases = [TOLD, WAITING]
    head, told, waits = madang(service, "leases").stdout.splitlines()
    assert head.split()[7:11] == ["PROMISED", "UNTIL", "GIVE", "BACK"]
    assert "2026-01-01 10:00" in told
    assert "by 2026-01-01 09:35 (idle)" in told
    assert waits.split()[:5] == ["l2", "kim", "run", "3g.20gb", "waiting"]
    korean = madang(service, "leases", LANG="ko_KR.UTF-8", TZ="Asia/Seoul").stdout
    assert "2026-01-01 18:35까지 (작업 없음)" in korean


def test_the_line_says_why_and_until_when(service: DeskService) -> None:
    service.line = [{
        "position": 2, "id": "l2", "user": "kim", "group": "ai", "mine": True,
        "profile": "3g.20gb", "kind": "server", "asked_at": "2026-01-01T09:00:00Z",
        "reason": "Waits for a 3g.20gb: 2 of 2 are held.",
        "eta_earliest": "2026-01-01T14:20:00Z", "eta_latest": "2026-01-02T00:05:00Z",
    }]
    said = madang(service, "line").stdout
    assert "2026-01-01 14:20 - 2026-01-02 00:05" in said
    assert "Waits for a 3g.20gb: 2 of 2 are held." in said
    service.line[0] |= {"eta_latest": "2026-01-01T15:05:00Z"}
    assert "2026-01-01 14:20 - 15:05" in madang(service, "line").stdout


@pytest.mark.parametrize(("verb", "asked"), [
    ("extend", ("POST", "/leases/l1/extend")), ("release", ("DELETE", "/leases/l1")),
    ("end", ("DELETE", "/leases/l1")),
])
def test_the_only_lease_need_not_be_named(
    service: DeskService, verb: str, asked: tuple[str, str]
) -> None:
    service.leases = [THEIRS, HELD, WAITING | {"stage": "released"}]
    done = madang(service, "lease", verb)
    assert done.returncode == 0, done.stderr
    assert service.asked[-1] == asked
    assert "l1" in done.stdout


def test_of_several_leases_one_is_named_or_this_servers(service: DeskService) -> None:
    service.leases = [HELD, WAITING]
    done = madang(service, "lease", "release")
    assert (done.returncode, done.stderr) == (2, "madang: say which lease: l1, l2\n")
    assert madang(service, "lease", "release", MADANG_LEASE="l1").returncode == 0
    assert service.asked[-1] == ("DELETE", "/leases/l1")
    # the lease of a server that has ended since is nobody's
    assert madang(service, "lease", "extend", MADANG_LEASE="old").returncode == 2
    assert madang(service, "lease", "extend", "l2").returncode == 0
    service.leases = [THEIRS]
    done = madang(service, "lease", "extend")
    assert done.returncode == 2
    assert "no open lease" in done.stderr


@pytest.mark.parametrize("id", ["../me", "%00", "", "l1?reason=x", "대여"])
def test_ids_that_are_none(service: DeskService, id: str) -> None:
    for verb in (("lease", "end"), ("reserve", "remove")):
        assert madang(service, *verb, "--", id).returncode == 2
    assert {x for x, _ in service.asked} <= {"GET"}


def test_a_reason_goes_along(service: DeskService) -> None:
    assert madang(service, "lease", "end", "l9", "--reason", "the class begins").returncode == 0
    assert service.asked[-1] == ("DELETE", "/leases/l9")


# ---- reservations ----------------------------------------------------------------------------

ADD = ["reserve", "add", "--group", "ai", "--profile", "1g.5gb", "--count"]


def test_hours_of_the_week_are_reserved(service: DeskService) -> None:
    done = madang(service, *ADD, 2, "--days", "mon,수", "--from", "10:00", "--to", "12:00",
                  "--last", "2026-12-18", "--zone", "Asia/Seoul", "--note", "practice")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "reservation r1: 2 of 1g.5gb for ai, mon,wed 10:00-12:00 Asia/Seoul, 2026-11-23 -; "
        "next 2026-11-23 01:00 - 03:00 UTC\n"
    )
    query, body = service.told[-1]
    assert query == {"dry_run": "false"}
    assert body == {
        "group": "ai", "profile": "1g.5gb", "count": 2, "zone": "Asia/Seoul", "note": "practice",
        "days": ["mon,수"], "start": "10:00", "end": "12:00", "first": "", "last": "2026-12-18",
        "begins": "", "ends": "",
    }


def test_a_span_and_a_check(service: DeskService) -> None:
    done = madang(service, *ADD, 1, "--begins", "2026-12-01T09:00", "--ends", "2026-12-03T18:00",
                  "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("this would fit: 2 of 1g.5gb")
    query, body = service.told[-1]
    assert query == {"dry_run": "true"}
    assert (body["days"], body["begins"]) == ([], "2026-12-01T09:00")


def test_a_refused_reservation_is_one_line(service: DeskService) -> None:
    done = madang(service, *ADD, 0, "--days", "mon", "--from", "1:00", "--to", "2:00")
    assert (done.returncode, done.stderr) == (2, "madang: At least one slice.\n")
    assert madang(service, *ADD, "many").returncode == 2
    assert madang(service, "reserve", "add").returncode == 2


def test_reservations_are_listed_and_removed(service: DeskService) -> None:
    head, weekly, span = madang(service, "reserve", "list").stdout.splitlines()
    assert head.split()[:5] == ["ID", "GROUP", "PROFILE", "COUNT", "WHEN"]
    assert "mon,wed 10:00-12:00 Asia/Seoul, 2026-11-23 -" in weekly
    assert "2026-12-01 09:00 - 2026-12-03 18:00 Asia/Seoul" in span
    assert "does not know this time zone any more" in span  # what is over is not listed
    assert madang(service, "reserve", "remove", "r1").stdout == (
        "reservation r1 is taken back\n")


# ---- groups ----------------------------------------------------------------------------------


def test_groups_are_listed_with_share_and_use(service: DeskService) -> None:
    head, row = madang(service, "group", "list").stdout.splitlines()
    assert head.split()[:6] == ["NAME", "MEMBERS", "WEIGHT", "SHARE", "USE", "WEEK"]
    assert row.split() == ["인공지능-2025", "10", "2.0", "67%", "50%", "12.5", "40.0", "-", "-"]


def test_only_what_is_named_is_changed(service: DeskService) -> None:
    done = madang(service, "group", "set", "인공지능-2025", "--quota", "none", "--weight", "0")
    assert (done.returncode, done.stdout) == (0, "group 인공지능-2025 is changed\n")
    assert service.told == [("인공지능-2025", "false", {"weight": "0", "quota": "none"})]
    done = madang(service, "group", "set", "ai")
    assert done.returncode == 2
    assert "say what to change" in done.stderr
    assert madang(service, "group", "set", "new", "--create").returncode == 0
    assert service.told[1:] == [("new", "true", {})]
    assert madang(service, "group", "remove", "ai").returncode == 0
    assert service.asked[-1] == ("DELETE", "/groups/ai")


@pytest.mark.parametrize("name", ["..", "", "../me"])
def test_names_that_are_no_groups(service: DeskService, name: str) -> None:
    assert madang(service, "group", "remove", name).returncode == 2
    assert ("DELETE", "/me") not in service.asked


# ---- usage -----------------------------------------------------------------------------------


def test_usage_is_shown(service: DeskService) -> None:
    done = madang(service, "usage", "--since", "30d", "--until", "1d")
    _, others, own = done.stdout.splitlines()
    assert others.split() == ["ai", "(others)", "3.5", "-", "2", "1:01", "0:00"]
    assert own.split()[1:4] == ["kim", "3.5", "0.5"]
    assert service.told == [{"by": "user", "since": "30d", "until": "1d"}]
    assert "USER" not in madang(service, "usage", "--by", "group").stdout
    assert madang(service, "usage", "--by", "gpu").returncode == 2


def test_usage_as_a_table_for_spreadsheets(service: DeskService, tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    assert madang(service, "usage", "--csv", path).returncode == 0
    assert path.read_bytes() == CSV.encode()  # Excel needs the mark and its line ends
    assert madang(service, "usage", "--csv", "-").stdout == CSV.removeprefix("\ufeff").replace(
        "\r\n", "\n")  # text=True of subprocess makes them one
    done = madang(service, "usage", "--csv", tmp_path / "none" / "x.csv")
    assert done.returncode == 2
    assert done.stderr.startswith("madang: cannot write")
    assert madang(service, "usage", "--csv", "-", "--json").returncode == 2


# ---- slices ----------------------------------------------------------------------------------


def test_a_slice_is_named_as_the_table_shows_it(
    service: DeskService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i, one in enumerate(SLICES):
        monkeypatch.setitem(one, "key", f"n/g/{one['profile']}/{i}")
    done = madang(service, "slice", "block", "0:4", "--reason", "a fan is loud")
    assert (done.returncode, done.stdout) == (0, "slice n/g/1g.5gb/4: blocked\n")
    assert service.told == [
        ("POST", {"slice": "n/g/1g.5gb/0", "reason": "a fan is loud"})]
    assert madang(service, "slice", "unblock", "n/g/1g.5gb/0").returncode == 0
    assert service.told[-1] == ("DELETE", {"slice": "n/g/1g.5gb/0"})
    assert madang(service, "slice", "block", "0:4").returncode == 2  # no reason
    done = madang(service, "slice", "unblock", "7:0")
    assert done.returncode == 2
    assert "there is no slice 7:0" in done.stderr


# ---- all of them -----------------------------------------------------------------------------


def test_each_verb_has_json(service: DeskService) -> None:
    service.leases = [HELD]
    for verb in ("lease extend", "lease release", "lease end l1", "reserve list",
                 "reserve remove r1", "group list", "group set ai --weight 1", "group remove ai",
                 "usage", "slice unblock a/b/c/0", "slice block a/b/c/0 --reason x",
                 "reserve add --group ai --profile 1g.5gb --count 1 --dry-run"):
        done = madang(service, *verb.split(), "--json")
        assert done.returncode == 0, (verb, done.stderr)
        json.loads(done.stdout)


def test_a_service_that_is_away_ends_with_3() -> None:
    for verb in ("lease extend", "reserve list", "group list", "usage", "slice unblock 0:4"):
        assert madang("http://127.0.0.1:9/api", *verb.split()).returncode == 3


def test_korean(service: DeskService) -> None:
    said = madang(service, "group", "set", "ai", "--weight", "1", LANG="ko_KR.UTF-8").stdout
    assert said == "그룹 ai을(를) 바꾸었습니다\n"
    service.leases = []
    assert "대여가 없습니다" in madang(service, "lease", "extend", LANG="ko_KR.UTF-8").stderr

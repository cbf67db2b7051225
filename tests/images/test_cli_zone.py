"""Moments on the command line: in the house's time zone, and never two clocks in one line."""

from collections.abc import Iterator

import pytest

from tests.images.test_cli import madang
from tests.images.test_cli_desk import HELD, TOLD, WEEKLY, DeskService

WAITS = {
    "position": 1, "id": "l2", "user": "kim", "group": "ai", "mine": True, "profile": "3g.20gb",
    "kind": "server", "asked_at": "2026-01-01T05:00:00Z",
    "reason": "Waits for a 3g.20gb: 1 of 1 are held, the first is promised until 14:20 KST.",
    "eta_earliest": "2026-01-01T05:20:00Z", "eta_latest": "2026-01-01T06:05:00Z",
}


@pytest.fixture
def service() -> Iterator[DeskService]:
    with DeskService() as made:
        made.zone, made.line = "Asia/Seoul", [WAITS]
        yield made


def test_a_line_has_one_clock_and_says_which(service: DeskService) -> None:
    said = madang(service, "line", TZ="UTC").stdout
    assert "2026-01-01 14:00 KST" in said
    assert "2026-01-01 14:20 - 15:05 KST" in said
    assert "promised until 14:20 KST" in said
    assert "05:" not in said


def test_where_the_terminals_clock_shows_the_same_the_zone_is_not_said(
    service: DeskService,
) -> None:
    for zone in ("Asia/Seoul", "Asia/Tokyo"):
        said = madang(service, "line", TZ=zone).stdout
        assert "2026-01-01 14:20 - 15:05 " in said
        assert "15:05 KST" not in said


def test_the_offset_counts_at_that_moment_and_not_today(service: DeskService) -> None:
    # Berlin and Lagos have one time in winter, another in summer
    service.zone = "Europe/Berlin"
    service.line = [WAITS, WAITS | {
        "asked_at": "2026-07-01T05:00:00Z", "eta_earliest": "2026-07-01T05:20:00Z",
        "eta_latest": "2026-12-01T05:20:00Z",
    }]
    _, winter, summer = madang(service, "line", TZ="Africa/Lagos").stdout.splitlines()
    assert "2026-01-01 06:20 - 07:05 " in winter
    assert "CE" not in winter
    assert "2026-07-01 07:00 CEST" in summer
    assert "2026-07-01 07:20 CEST - 2026-12-01 06:20 " in summer


def test_every_verb_tells_moments_in_it(service: DeskService) -> None:
    service.leases = [TOLD]
    assert "by 2026-01-01 18:35 KST (idle)" in madang(service, "leases", TZ="UTC").stdout
    service.leases = [HELD]
    assert madang(service, "lease", "extend", TZ="UTC").stdout == (
        "lease l1: yours until 2026-01-01 19:00 KST\n")
    reserved = madang(service, "reserve", "list", TZ="UTC").stdout
    assert "mon,wed 10:00-12:00 Asia/Seoul" in reserved
    assert "2026-11-23 10:00 - 12:00 KST" in reserved
    made = madang(service, "reserve", "add", "--group", "ai", "--profile", "1g.5gb", "--count", 2,
                  "--days", "mon", "--from", "10:00", "--to", "12:00", TZ="UTC").stdout
    assert made.endswith("next 2026-11-23 10:00 - 12:00 KST\n")
    # beside the reservation's own hours the zone is always said
    assert "10:00 - 12:00 KST" in madang(service, "reserve", "list", TZ="Asia/Seoul").stdout
    shown = madang(service, "run", "show", service.run["id"], TZ="UTC").stdout
    assert "asked at     2026-01-01 18:00 KST" in shown


def test_a_zone_without_data_here_is_the_terminals_and_said_so(service: DeskService) -> None:
    for zone in ("Mars/Base", "../../etc/passwd", "Asia"):
        service.zone = zone
        done = madang(service, "line", TZ="Asia/Tokyo")
        assert (done.returncode, done.stderr) == (0, "")
        assert "2026-01-01 14:20 - 15:05 JST" in done.stdout


def test_a_service_that_names_no_zone_leaves_the_terminals(service: DeskService) -> None:
    service.zone = ""
    said = madang(service, "line", TZ="America/New_York").stdout
    assert "2026-01-01 00:20 - 01:05 " in said
    assert "EST" not in said


def test_json_stays_as_the_service_sends_it(service: DeskService) -> None:
    said = madang(service, "reserve", "list", "--json", TZ="UTC").stdout
    assert WEEKLY["next"]["begins"] in said

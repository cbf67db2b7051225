"""Times that people type; when a slot is too late."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.core.schedules import (
    Schedule,
    Slot,
    catch_up_of,
    check_name,
    is_late,
    moment_of,
    overlap_of,
)
from hub.errors import BadInput

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)  # 17:30 in Seoul
SEOUL = "Asia/Seoul"


@pytest.mark.parametrize(("text", "zone", "moment"), [
    ("02:00", SEOUL, "2026-11-23T17:00"), ("2:00", SEOUL, "2026-11-23T17:00"),
    ("17:31", SEOUL, "2026-11-23T08:31"), ("17:30", SEOUL, "2026-11-24T08:30"),
    (" 09:00 ", "UTC", "2026-11-23T09:00"), ("00:00", "UTC", "2026-11-24T00:00"),
    ("2026-11-24T02:00", SEOUL, "2026-11-23T17:00"),
    ("2026-11-24 02:00", SEOUL, "2026-11-23T17:00"),
    ("2027-03-28T02:30", "Europe/Amsterdam", "2027-03-28T01:00"),  # the clock skips it
    ("2027-10-31T02:30", "Europe/Amsterdam", "2027-10-31T00:30"),  # the first of two
])
def test_a_time_to_begin_at(text: str, zone: str, moment: str) -> None:
    assert moment_of(text, zone, NOW) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", [
    "", "tonight", "24:00", "02:60", "2026-11-24", "2026-13-01T02:00", "2026-02-30T02:00",
    "2026-11-24T02:00+09:00", "2026-11-24T02:00:00", "2020-01-01T02:00", "2036-01-01T02:00",
    "\u0660\u0662:00", "0001-01-01T00:00", "9999-12-31T23:59",
])
def test_what_is_no_time_to_begin_at(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        moment_of(text, SEOUL, NOW)
    assert caught.value.reason == "at"


def test_hours_to_catch_up() -> None:
    assert [catch_up_of(x) for x in ("none", "", "6h", " 12h ", "6 h")] == [0, 0, 6, 12, 6]
    for bad in ("6", "0h", "-1h", "1d", "h", "400h", "6h6h", "٦h"):
        with pytest.raises(BadInput, match="catch up"):
            catch_up_of(bad)
    assert [overlap_of(x).value for x in ("", "skip", "queue", "replace")] == [
        "skip", "skip", "queue", "replace"]


def test_names() -> None:
    assert check_name("  밤 실험 ") == "밤 실험"
    for bad in ("", "  ", "x" * 65, "a\nb", "a\0b"):
        with pytest.raises(BadInput):
            check_name(bad)


@pytest.mark.parametrize(("catch_up", "late", "missed"), [
    (0, timedelta(minutes=4), False), (0, timedelta(minutes=6), True),
    (6, timedelta(hours=5, minutes=59), False), (6, timedelta(hours=6, minutes=1), True),
])
def test_a_slot_is_late(*, catch_up: int, late: timedelta, missed: bool) -> None:
    slot = Slot(datetime(2026, 11, 23, 8, 30), NOW)  # noqa: DTZ001 - local time
    schedule = Schedule("s", "kim", "n", "30 8 * * *", "UTC", "n.ipynb", "1g.5gb", NOW, NOW,
                        catch_up=catch_up)
    assert is_late(schedule, slot, NOW + late) is missed
    assert slot.name == "2026-11-23T08:30"

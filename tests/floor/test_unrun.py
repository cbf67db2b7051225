"""A night of which nothing came is told: whoever waits for its results must not find nothing."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.core.roster import parse
from hub.edge.aside import Aside
from hub.notifying import Notifier
from hub.reports import Reports
from tests.edge.answering import Web, web
from tests.floor.telling import look, notifier, telling_floor
from tests.floor.test_schedules import Nights


@pytest.fixture
def there() -> Iterator[Web]:
    with web() as made:
        yield made


@pytest.fixture
def nights(tmp_path: Path, there: Web) -> Iterator[Nights]:
    with telling_floor(tmp_path, there) as floor:
        yield Nights(floor)


def clock_of(nights: Nights) -> Any:
    """A moment later than what has just been written."""
    return lambda: nights.time.now + timedelta(seconds=1)


def listening(nights: Nights) -> Notifier:
    made = notifier(nights.floor, clock_of(nights))
    nights.occurring.tell = made.unrun
    return made


def gone(nights: Nights) -> None:
    nights.floor.broker.set_members(parse("name,group,role\nbo,ml,student\n", "r"))


def test_a_slot_that_was_refused_or_missed_is_told_once(nights: Nights, there: Web) -> None:
    made = nights.add(what={"notify": (f"{there.url}/hook",)})
    told = listening(nights)
    gone(nights)
    nights.at("2026-11-24T02:00")
    nights.at("2026-11-25T09:00")
    for _ in range(3):
        look(told)
    assert [(x.json["event"], x.json["slot"]["slot"], x.json["slot"]["outcome"])
            for x in there.asked] == [
        ("slot.unrun", "2026-11-24T02:00", "refused"), ("slot.unrun", "2026-11-25T02:00", "missed")]
    assert there.asked[0].json["title"] == "n.ipynb did not run at 2026-11-24 02:00"
    assert "not in the roster" in there.asked[0].json["text"]
    assert there.asked[0].headers["idempotency-key"] == f"{made.id}-2026-11-24T0200-0"


def test_a_service_that_died_before_it_told_tells_afterwards(nights: Nights, there: Web) -> None:
    nights.add(what={"notify": (f"{there.url}/hook",)})
    gone(nights)
    nights.at("2026-11-24T02:00")
    for _ in range(2):  # the second service knows that it was told
        look(listening(nights))
    assert len(there.asked) == 1


def test_one_that_was_to_be_skipped_is_no_news(nights: Nights, there: Web) -> None:
    nights.add(what={"notify": (f"{there.url}/hook",)})
    told = listening(nights)
    nights.at("2026-11-24T02:00")
    nights.at("2026-11-25T02:00")
    look(told)
    assert there.asked == []


def test_the_report_names_it_to_its_owner(nights: Nights) -> None:
    nights.add()
    gone(nights)
    nights.at("2026-11-24T02:00")
    reports = Reports(nights.floor.batch, Aside(), clock_of(nights))
    try:
        (mine,) = reports.report("ana", "12h").unrun
        assert (mine.schedule.name, mine.seen.slot) == ("nightly", "2026-11-24T02:00")
        assert reports.report("bo", "12h").unrun == ()
        assert reports.report(None, "12h").people == {"ana"}
        assert reports.report(None, "2026-11-20", "2026-11-21").unrun == ()
    finally:
        reports.close()

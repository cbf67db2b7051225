"""Nights, when runs count like servers; and runs that would not be done in time."""

from datetime import time, timedelta

import pytest

from hub.core import forecast
from hub.core.forecast import Wait
from hub.core.lease import Kind, Why
from hub.core.order import at_night
from hub.core.rules import Rules
from tests.core.lab import MINUTE, MONDAY, Lab

# the labs begin on Monday at nine, UTC: in Seoul it is 18:00
NIGHT = Rules(zone="Asia/Seoul", night=(time(22), time(7)))


@pytest.mark.parametrize(("night", "hours", "is_night"), [
    ((time(22), time(7)), 0, False), ((time(22), time(7)), 4, True),
    ((time(22), time(7)), 12.9, True), ((time(22), time(7)), 13, False),
    ((time(1), time(5)), 6, False), ((time(1), time(5)), 8, True), (None, 8, False),
])
def test_when_it_is_night(
    night: tuple[time, time] | None, hours: float, *, is_night: bool
) -> None:
    rules = Rules(zone="Asia/Seoul", night=night)
    assert at_night(rules, MONDAY + timedelta(hours=hours)) is is_night


@pytest.mark.parametrize("night", [True, False])
def test_at_night_a_run_asks_back_what_is_held_beyond_its_promise(*, night: bool) -> None:
    lab = Lab("1g.5gb", rules=NIGHT if night else Rules())
    lab.minutes(5 * 60, every=30)
    lab.ask("ann")
    lab.busy = {"ann"}
    lab.minutes(70, every=5)
    lab.ask("train", kind=Kind.RUN)
    lab.minutes(20)
    assert lab.holding() == ({"train"} if night else {"ann"})
    assert lab.lease("ann").why is (Why.WAITING if night else None)


@pytest.mark.parametrize("night", [True, False])
def test_at_night_runs_and_servers_stand_in_one_line(*, night: bool) -> None:
    lab = Lab("1g.5gb", rules=NIGHT if night else Rules())
    lab.minutes(5 * 60, every=30)
    lab.ask("holder", user="heavy")
    lab.minutes(2)
    lab.ask("train", kind=Kind.RUN)
    lab.minutes(2)
    lab.ask("heavy-2", user="heavy")  # has used more than the run's owner
    lab.leave("holder")
    lab.minutes(2)
    assert lab.holding() == ({"train"} if night else {"heavy-2"})


def test_a_run_is_not_begun_that_would_not_be_done_before_the_class() -> None:
    lab = Lab("1g.5gb")
    lab.reserve("course", 90, 180)
    lab.ask("long", kind=Kind.RUN, needs=100 * MINUTE)
    lab.ask("short", kind=Kind.RUN, needs=30 * MINUTE)
    assert lab.holding() == {"short"}
    lab.leave("short")
    lab.minutes(2)
    place = forecast.place(lab.state, "long", lab.now)
    assert place is not None
    assert (place.wait, lab.minute(place.opens)) == (Wait.SHORT, 80)
    lab.minutes(200)
    assert lab.holding() == {"long"}


def test_one_that_is_always_too_long_is_begun_all_the_same_some_day() -> None:
    lab = Lab("1g.5gb", rules=Rules(run_patience=timedelta(hours=2)))
    for i in range(12):  # no gap is longer than an hour
        lab.reserve(f"c{i}", 60 + i * 120, 120 + i * 120)
    lab.ask("long", kind=Kind.RUN, needs=timedelta(hours=5))
    lab.minutes(240, every=2)
    held = [*lab.ended.values(), *(x for x in lab.state.leases.values() if x.live)]
    assert "long" in {x.id for x in held}

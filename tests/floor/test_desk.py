"""The desk on a real store: reservations against what is held, groups, usage, slices out of use."""

import logging
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from hub.core.lease import Kind, Stage
from hub.core.roster import parse
from hub.desk import Desk, key_text
from hub.errors import BadInput, NotFound, Refusal, Unavailable
from tests.floor.desks import BIG, IMAGE, ROSTER, SMALL, Clock, ask, wanted
from tests.floor.floors import Floor, floor_at

# ---- reservations ----------------------------------------------------------------------------


def test_what_is_promised_to_others_stands_in_the_way(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    ask(floor.broker, "ana")  # promised for an hour
    with pytest.raises(BadInput) as refused:
        desk.reserve(wanted(clock), "teacher")
    assert refused.value.reason == "reservation-conflict"
    assert desk.reservations() == ()
    made = desk.reserve(wanted(clock, timedelta(hours=2)), "teacher")
    assert [x.id for x, _ in desk.reservations()] == [made.id]
    assert (made.made_by, made.made_at) == ("teacher", clock.now)


def test_what_the_own_people_hold_is_no_obstacle(floor: Floor, desk: Desk, clock: Clock) -> None:
    ask(floor.broker, "cho")
    assert desk.reserve(wanted(clock), "teacher").group == "vision"


def test_what_was_given_from_a_reservation_is_not_counted_twice(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    desk.reserve(wanted(clock, timedelta(0), profile=SMALL), "teacher")
    lease = ask(floor.broker, "cho", SMALL)
    assert lease.reservation
    # one of two is reserved and taken: the other can be promised to another group
    desk.reserve(wanted(clock, group="ml", profile=SMALL), "teacher")
    with pytest.raises(BadInput):
        desk.reserve(wanted(clock, group="ml", profile=SMALL), "teacher")


def test_who_follows_at_once_meets_those_who_were_given_from_a_reservation(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    made = desk.reserve(wanted(clock, timedelta(0)), "teacher")
    lease = ask(floor.broker, "cho")
    hours = desk.next_hours(made)
    assert hours is not None
    with floor.broker.edges.store.write() as unit:
        unit.state = unit.state.having(replace(lease, promised=hours.ends))
    ends = hours.ends - clock.now
    with pytest.raises(BadInput):
        desk.reserve(wanted(clock, ends, group="ml"), "teacher")
    margin = floor.broker.state().house.rules.margin
    desk.reserve(wanted(clock, ends + margin, group="ml"), "teacher")


def test_a_check_reserves_nothing(desk: Desk, clock: Clock) -> None:
    assert desk.reserve(wanted(clock), "teacher", dry_run=True).id == ""
    assert desk.reservations() == ()


def test_of_two_at_once_one_gets_the_last_slice(desk: Desk, clock: Clock) -> None:
    said: list[str] = []

    def reserve(group: str) -> None:
        try:
            said.append(desk.reserve(wanted(clock, group=group), "teacher").group)
        except BadInput as e:
            said.append(e.reason)

    both = [threading.Thread(target=reserve, args=(x,)) for x in ("ml", "vision")]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert len(desk.reservations()) == 1
    assert "reservation-conflict" in said


def test_a_slice_out_of_use_cannot_be_promised(floor: Floor, desk: Desk, clock: Clock) -> None:
    key = next(k for k in floor.broker.state().slices if k.profile == BIG)
    desk.block(key_text(key), "a fan is loud", "operator")
    with pytest.raises(BadInput) as refused:
        desk.reserve(wanted(clock), "teacher")
    assert refused.value.reason == "reservation"


def test_a_quarantined_slice_cannot_be_promised(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    first = ask(floor.broker, "ana", SMALL)
    with floor.broker.edges.store.write() as unit:
        gone = replace(unit.state.leases[first.id], stage=Stage.QUARANTINED, draining_at=clock.now)
        unit.state = unit.state.having(gone)
    with pytest.raises(BadInput):
        desk.reserve(wanted(clock, profile=SMALL, count=2), "teacher")
    desk.reserve(wanted(clock, profile=SMALL), "teacher")  # what ana had is not the other one's


def test_nobody_gives_back_without_the_usual_countdown(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    ask(floor.broker, "ana")
    clock.passes(minutes=59)  # of sixty: then the countdown begins
    rules = floor.broker.state().house.rules
    soon = timedelta(minutes=1) + rules.margin
    assert soon < rules.notice + rules.margin
    with pytest.raises(BadInput):
        desk.reserve(wanted(clock, soon + timedelta(minutes=1)), "teacher")
    desk.reserve(wanted(clock, rules.notice + rules.margin + timedelta(minutes=1)), "teacher")


def test_what_follows_from_hours_and_groups_is_decided_with_them(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    made = desk.reserve(wanted(clock, timedelta(0)), "teacher")
    waits = ask(floor.broker, "ana")
    assert waits.stage is Stage.WAITING
    desk.unreserve(made.id, "teacher")
    held = floor.broker.look(waits.id).lease
    longest = floor.broker.state().house.rules.max_hold
    assert (held.stage, held.until) == (Stage.GRANTED, clock.now + longest)
    clock.passes(hours=2)
    desk.reserve(wanted(clock, timedelta(hours=1)), "teacher")
    limit = floor.broker.look(held.id).lease.until
    assert limit is not None
    assert limit < clock.now + timedelta(hours=1)


def test_without_a_card_nothing_is_promised(tmp_path: Path) -> None:
    with floor_at(tmp_path) as floor:
        clock = Clock()
        floor.broker.set_members(parse(ROSTER, "roster"))
        with floor.broker.edges.store.write() as unit:
            unit.state = type(unit.state)(house=unit.state.house)
        with pytest.raises(Unavailable) as refused:
            Desk(floor.broker, clock).reserve(wanted(clock), "teacher")
        assert refused.value.reason == "no-gpu"
        floor.broker.tick()


def test_what_is_long_over_is_forgotten_with_the_next(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    old = desk.reserve(wanted(clock), "teacher")
    clock.passes(days=3)
    assert desk.reservations() == ()
    desk.reserve(wanted(clock), "teacher")
    assert old.id in floor.broker.state().house.reservations  # usage still asks whose it was
    clock.passes(days=40)
    desk.reserve(wanted(clock), "teacher")
    assert old.id not in floor.broker.state().house.reservations


def test_taking_one_back_that_is_not_there(desk: Desk) -> None:
    for verb in (lambda: desk.unreserve("nope", "x"), lambda: desk.reservation("nope")):
        with pytest.raises(NotFound):
            verb()


def test_a_class_gets_in_and_the_others_leave_before(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    desk.reserve(wanted(clock, timedelta(minutes=90)), "teacher")
    held = ask(floor.broker, "ana")
    assert held.until is not None
    # ten minutes before the hours begin, to the minute that was reserved
    assert abs(held.until - (clock.now + timedelta(minutes=80))) < timedelta(minutes=1)
    clock.passes(minutes=81)
    floor.tick(2)
    assert floor.stage_of(held.id) in (Stage.DRAINING, Stage.RELEASED)
    floor.tick(2)
    ask(floor.broker, "bo")
    assert ask(floor.broker, "bo").stage is Stage.WAITING
    clock.passes(minutes=10)
    assert ask(floor.broker, "cho").stage is Stage.GRANTED


# ---- groups ----------------------------------------------------------------------------------


def test_every_change_is_logged_with_who_did_it(
    desk: Desk, clock: Clock, floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    key = key_text(next(iter(floor.broker.state().slices)))
    with caplog.at_level(logging.INFO, "madang.desk"):
        made = desk.reserve(wanted(clock), "teacher")
        desk.unreserve(made.id, "somebody")
        desk.set_group("ml", {"weight": 2}, "boss")
        desk.remove_group("ml", "other")
        desk.block(key, "why\u2028so", "mechanic")
        desk.unblock(key, "mechanic")
    who = [x.message.split()[0] for x in caplog.records]
    assert who == ["teacher", "somebody", "boss", "other", "mechanic", "mechanic"]
    assert "\u2028" not in caplog.text


def test_a_group_that_is_refused_is_not_made(desk: Desk) -> None:
    for name, changes in (("new", {"weight": 0}), ("-x", {"weight": 1})):
        with pytest.raises(Refusal):
            desk.set_group(name, changes, "boss")
    assert [x.group.name for x in desk.groups()] == ["ml", "vision"]


def test_shares_follow_the_weights_and_use_what_was_held(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    desk.set_group("ml", {"weight": "3"}, "boss")
    ask(floor.broker, "ana", SMALL)
    clock.passes(hours=2)
    found = {x.group.name: x for x in desk.groups()}
    assert (found["ml"].share, found["vision"].share) == (0.75, 0.25)
    assert (found["ml"].use, found["vision"].use) == (1.0, 0.0)
    assert found["ml"].week_used == pytest.approx(2.0)
    mine = desk.own("ana")[0]
    assert (mine.group, mine.used, mine.left) == ("ml", pytest.approx(2.0), None)
    assert desk.own("bo")[0].used == 0
    assert [x.group for x in desk.own("nobody")] == [""]


# ---- usage -----------------------------------------------------------------------------------


def by_user(_group: str, user: str) -> str | None:
    return user


def test_usage_counts_what_lies_in_the_span(floor: Floor, desk: Desk, clock: Clock) -> None:
    lease = ask(floor.broker, "ana")
    clock.passes(hours=2)
    floor.broker.report(lease.id, clock.now - timedelta(hours=1))
    rows = desk.usage("1h", "", by_user)
    assert [(x.group, x.user, x.leases) for x in rows] == [("ml", "ana", 1)]
    assert rows[0].slice_hours == pytest.approx(3.5)
    assert rows[0].idle_hours == pytest.approx(3.5)  # silent for the whole last hour
    assert rows[0].wait_seconds_mean is None  # it was given before
    rows = desk.usage("5h", "", by_user)
    assert rows[0].slice_hours == pytest.approx(7.0)
    assert (rows[0].wait_seconds_mean, rows[0].wait_seconds_p95) == (0.0, 0.0)
    floor.broker.ended(lease.id, "stopped")
    clock.passes(hours=3)
    assert desk.usage("1h", "", by_user) == ()
    assert desk.usage("4h", "2h", by_user)[0].slice_hours == pytest.approx(3.5)


def test_a_second_attempt_has_not_waited_while_the_first_ran(
    floor: Floor, desk: Desk, clock: Clock
) -> None:
    asks = partial(
        floor.broker.ask, user="ana", kind=Kind.RUN, name="r", profile=SMALL, image=IMAGE
    )
    first, early = asks(id="r"), clock.now
    clock.passes(hours=1)
    floor.broker.ended(first.id, "gave way")
    asks(id="r-2", asked_at=early, again=True)
    clock.passes(hours=1)
    row, = desk.usage("3h", "", by_user)
    assert (row.leases, row.wait_seconds_mean, row.wait_seconds_p95) == (2, 0.0, 0.0)


def test_rows_without_a_name_are_sums(floor: Floor, desk: Desk, clock: Clock) -> None:
    ask(floor.broker, "ana", SMALL)
    ask(floor.broker, "bo", SMALL)
    clock.passes(hours=1)
    rows = desk.usage("2h", "", lambda _, user: user if user == "ana" else None)
    assert [(x.user, x.leases) for x in rows] == [("ana", 1), (None, 1)]
    rows = desk.usage("2h", "", lambda *_: None)
    assert [(x.user, x.leases) for x in rows] == [(None, 2)]
    assert rows[0].slice_hours == pytest.approx(2.0)

"""Who is asked for whom: found by a reviewer who broke the line; each by name."""

from dataclasses import replace
from datetime import timedelta

import pytest

from hub.core import claims
from hub.core.lease import Extended, Kind, Lease, Observed, Stage, Why
from hub.core.rules import Group, Rules
from hub.core.share import charged_to, standing
from hub.core.usage import UsageRow, usage_rows
from hub.errors import Refusal
from tests.core.lab import MINUTE, MONDAY, Lab


def test_runs_that_waited_long_do_not_push_each_other_out() -> None:
    lab = Lab("1g.5gb")
    lab.ask("holder")
    for id in ("r1", "r2"):
        lab.ask(id, kind=Kind.RUN)
    lab.minutes(25 * 60, every=10)
    lab.leave("holder") if "holder" in lab.holding() else None
    lab.minutes(30, every=5)
    (first,) = lab.holding()
    lab.minutes(300, every=5)
    assert lab.holding() == {first}, "no run is ended for a run"


def test_a_classmate_gets_the_idle_members_seat() -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    lab.reserve("course", 0, 240, count=2)
    for id in ("m1", "m2"):
        lab.ask(id, group="course")
    lab.told, lab.busy = {"m1"}, {"m2"}
    lab.minutes(40)
    lab.ask("m3", group="course")
    lab.minutes(20)
    assert lab.holding() == {"m2", "m3"}
    assert lab.lease("m1").why is Why.IDLE


def test_a_member_is_not_put_out_in_its_hours_for_an_outsider() -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    lab.reserve("course", 0, 120, count=1)
    lab.ask("member", group="course")
    lab.ask("out1")
    lab.busy = {"member", "out1"}
    lab.minutes(30)
    lab.ask("out2")
    lab.minutes(60)
    assert "member" in lab.holding()
    assert lab.lease("member").notice is None
    assert lab.holding() == {"member", "out2"}


def test_runs_leave_the_seats_of_a_class_to_those_who_come() -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    lab.reserve("course", 30, 90, count=2)
    for id in ("r1", "r2"):
        lab.ask(id, group="course", kind=Kind.RUN)
    lab.minutes(31)
    for id in ("s1", "s2"):
        lab.ask(id, group="course")
    lab.minutes(3)
    assert {"s1", "s2"} <= lab.holding()


def test_an_end_is_lifted_when_its_reservation_is_taken_back() -> None:
    lab = Lab("1g.5gb")
    lab.reserve("course", 120, 180)
    lab.ask("ann")
    assert lab.minute(lab.lease("ann").until) == 110
    lab.minutes(100)
    assert lab.lease("ann").notice is not None
    lab.state = replace(lab.state, house=replace(lab.state.house, reservations={}))
    lab.minutes(1)
    assert lab.lease("ann").notice is None
    lab.minutes(60)
    assert lab.holding() == {"ann"}


def test_nobody_is_put_out_without_a_countdown() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann")
    lab.minutes(70)
    lab.reserve("course", 80, 180)
    lab.minutes(1)
    notice = lab.lease("ann").notice
    assert notice is not None
    assert notice.leave_by - notice.at >= 15 * MINUTE


def test_a_class_that_did_not_come_keeps_nobody_from_the_next_hours() -> None:
    lab = Lab(*["1g.5gb"] * 3)
    lab.reserve("gone", 0, 120, count=2)
    lab.reserve("next", 90, 150, count=1)
    lab.minutes(16)
    for id in ("o1", "o2", "o3"):
        lab.ask(id)
    lab.busy = {"o1", "o2", "o3"}
    lab.minutes(66)
    assert len(lab.holding()) == 2, "one seat is enough for the next class"


def test_who_is_in_two_groups_takes_the_seat_it_asked_for() -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    lab.reserve("a", 0, 60)
    lab.reserve("b", 0, 60)
    lab.ask("both", group="b", member_of=("a", "b"))
    lab.ask("only-a", group="a")
    assert lab.holding() == {"both", "only-a"}
    assert lab.lease("both").reservation.startswith("r-b")


def test_a_process_on_the_slice_takes_an_idle_notice_back() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann")
    lab.told = {"ann"}
    lab.minutes(35)
    lab.ask("bob")
    notice = lab.lease("ann").notice
    assert notice is not None
    assert notice.why is Why.IDLE
    lab.slices = tuple(replace(s, processes=(7,)) for s in lab.slices)
    lab.minutes(1)
    assert lab.lease("ann").notice is None


def test_a_quota_counts_what_was_promised_a_moment_ago() -> None:
    lab = Lab(*["1g.5gb"] * 4, groups=(Group("a", user_quota=2.0),))
    slices, lab.slices = lab.slices, ()
    lab.state = replace(lab.state, slices={})
    for i in range(4):
        lab.ask(f"ann-{i}", user="ann", group="a")
    lab.slices = slices
    lab.tell(Observed(lab.now, slices, {}))
    lab.turn()
    assert len(lab.holding()) == 2
    assert standing(lab.state, lab.now).left("a", "ann") < 1


def test_in_its_hours_a_server_goes_before_a_run() -> None:
    lab = Lab("1g.5gb")
    lab.ask("x")
    lab.ask("run", group="course", kind=Kind.RUN)
    lab.now += timedelta(seconds=5)
    lab.ask("s", group="course")
    lab.reserve("course", 0, 60)
    lab.leave("x")
    lab.minutes(1)
    assert lab.holding() == {"s"}
    assert lab.stage("run") is Stage.WAITING


# ---- whose hours they are ------------------------------------------------------------------------


def used(lab: Lab) -> tuple[UsageRow, ...]:
    every = {**getattr(lab, "ended", {}), **lab.state.leases}.values()
    return usage_rows(every, lab.state.house, MONDAY, lab.now, lambda _, user: user)


def without_reservations(lab: Lab) -> None:
    lab.state = replace(lab.state, house=replace(lab.state.house, reservations={}))


@pytest.mark.parametrize("minute", [1, 30, 59, 61, 90])
def test_hours_that_were_used_stay_where_they_were_when_a_reservation_goes(minute: int) -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    lab.reserve("course", 0, 120)
    lab.ask("member", group="ml", member_of=("ml", "course"))
    lab.ask("other", group="ml")
    lab.minutes(min(minute, 60))
    if minute > 60:
        lab.leave("member")
        lab.minutes(minute - 60)
    rows, before = used(lab), standing(lab.state, lab.now)
    assert [(x.group, x.user) for x in rows] == [("course", "member"), ("ml", "other")]
    without_reservations(lab)
    assert used(lab) == rows
    assert standing(lab.state, lab.now).week == before.week
    lab.leave("member")
    lab.minutes(5)
    lab.leave("other")
    lab.minutes(5)
    assert set(lab.state.house.usage) == {("course", "member"), ("ml", "other")}


def test_who_was_given_no_reserved_slice_is_charged_to_the_group_asked_for() -> None:
    lab = Lab("1g.5gb")
    lab.reserve("course", 60, 120)
    lab.ask("ann", group="ml", member_of=("ml", "course"))
    assert charged_to(lab.state.house, lab.lease("ann")) == "ml"
    lab.minutes(70)
    assert charged_to(lab.state.house, lab.lease("ann")) == "ml"


# ---- which rule it was ---------------------------------------------------------------------------


def longer(lab: Lab) -> None:
    """The operator raises the longest hold and starts Madang anew."""
    rules = replace(lab.state.house.rules, max_hold=timedelta(hours=12))
    lab.state = replace(lab.state, house=replace(lab.state.house, rules=rules))


def near_its_end() -> tuple[Lab, Lease]:
    lab = Lab("1g.5gb", rules=Rules(max_hold=timedelta(hours=3)))
    lab.ask("ann")
    lab.busy = {"ann"}
    lab.minutes(150, every=5)
    return lab, lab.lease("ann")


def test_an_end_at_the_old_longest_hold_is_no_reservations() -> None:
    lab, _ = near_its_end()
    longer(lab)
    lab.now += 40 * MINUTE  # Madang was away over the end
    lab.turn()
    assert lab.lease("ann").why is Why.LIMIT


def test_who_asks_for_more_right_after_is_not_told_of_a_reservation() -> None:
    lab, _ = near_its_end()
    lab.tell(Extended("ann", claims.extension(lab.state, "ann", lab.now)))
    longer(lab)
    lab.now += MINUTE
    with pytest.raises(Refusal) as refused:
        claims.extension(lab.state, "ann", lab.now)
    assert refused.value.reason == "at-limit"
    assert refused.value.values["when"] == "12:00 UTC"


def test_a_countdown_to_the_old_longest_hold_is_taken_back() -> None:
    lab, _ = near_its_end()
    lab.minutes(20)
    notice = lab.lease("ann").notice
    assert notice is not None
    assert notice.why is Why.LIMIT
    longer(lab)
    lab.minutes(1)
    assert lab.lease("ann").notice is None
    lab.minutes(60, every=5)
    assert lab.holding() == {"ann"}


def test_an_end_that_a_reservation_set_is_said_to_be_so_also_then() -> None:
    lab = Lab("1g.5gb", rules=Rules(max_hold=timedelta(hours=3)))
    lab.reserve("course", 120, 180)
    lab.ask("ann")
    longer(lab)
    lab.now += 115 * MINUTE
    lab.turn()
    assert lab.lease("ann").why is Why.RESERVED


# ---- a time zone that is no more -----------------------------------------------------------------


def test_a_reservation_that_nobody_can_read_stops_no_turn_and_keeps_nobody_out() -> None:
    lab = Lab("1g.5gb")
    lab.reserve("course", 0, 120)
    lab.reserve("next", 200, 260)
    house = lab.state.house
    lost = {k: replace(x, zone="Mars/Base") for k, x in house.reservations.items()}
    lab.state = replace(lab.state, house=replace(house, reservations=lost))
    lab.ask("ann")
    lab.ask("bob")
    lab.minutes(70)
    assert lab.lease("ann").notice is not None  # asked back by the rules, for bob
    lab.minutes(20)
    assert lab.holding() == {"bob"}

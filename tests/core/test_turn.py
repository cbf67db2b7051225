"""Who is next, until when, and who gives back: each rule by name."""

from dataclasses import replace
from datetime import timedelta

import pytest

from hub.core import claims, forecast
from hub.core.forecast import Wait
from hub.core.lease import Extended, Kind, Stage, Why, Withdrawn
from hub.core.order import order
from hub.core.room import Rooms
from hub.core.rules import Group, Rules
from hub.core.share import standing, week
from hub.errors import BadInput, Refusal
from tests.core.lab import MINUTE, MONDAY, Lab


def test_a_lease_is_promised_and_goes_on_while_nobody_waits() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann")
    assert lab.minute(lab.lease("ann").promised) == 60
    lab.minutes(300, every=5)
    assert lab.holding() == {"ann"}
    assert lab.lease("ann").notice is None


def test_who_waits_gets_it_after_the_promise_and_the_notice() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann")
    lab.minutes(10)
    lab.ask("bob")
    lab.minutes(49)
    assert lab.lease("ann").notice is None
    lab.minutes(2)
    notice = lab.lease("ann").notice
    assert notice is not None
    assert (notice.why, lab.minute(notice.leave_by)) == (Why.WAITING, 75)
    lab.minutes(13)
    assert lab.holding() == {"ann"}
    lab.minutes(3)
    assert lab.holding() == {"bob"}
    assert lab.lease("ann").why is Why.WAITING
    assert lab.stopped() == ["ann"]


def test_a_notice_is_taken_back_when_nobody_waits_any_more() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann")
    lab.ask("bob")
    lab.minutes(65)
    assert lab.lease("ann").notice is not None
    lab.tell(Withdrawn("bob"))
    lab.minutes(1)
    assert lab.lease("ann").notice is None
    lab.minutes(60)
    assert lab.holding() == {"ann"}


def test_the_idle_one_gives_back_before_its_promise_is_over() -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    lab.ask("idle")
    lab.ask("busy")
    lab.told, lab.busy = {"idle"}, {"busy"}
    lab.minutes(35)
    lab.ask("waits")
    notice = lab.lease("idle").notice
    assert notice is not None
    assert notice.why is Why.IDLE
    lab.minutes(17)
    assert lab.holding() == {"busy", "waits"}


def test_an_idle_one_that_comes_back_keeps_its_promise() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann")
    lab.told = {"ann"}
    lab.minutes(31)
    lab.ask("bob")
    assert lab.lease("ann").notice is not None
    lab.busy = {"ann"}
    lab.minutes(2)
    assert lab.lease("ann").notice is None
    lab.minutes(20)
    assert lab.holding() == {"ann"}


def test_who_is_never_heard_of_is_not_idle() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann")
    lab.minutes(45)
    lab.ask("bob")
    assert lab.lease("ann").notice is None


def test_even_a_busy_one_ends_at_the_longest_hold_and_is_told_before() -> None:
    lab = Lab("1g.5gb", rules=Rules(max_hold=timedelta(hours=3)))
    lab.ask("ann")
    lab.busy = {"ann"}
    lab.minutes(170)
    notice = lab.lease("ann").notice
    assert notice is not None
    assert (notice.why, lab.minute(notice.leave_by)) == (Why.LIMIT, 180)
    lab.minutes(11)
    assert lab.lease("ann").why is Why.LIMIT


def test_a_run_gives_way_to_a_server_and_not_to_a_run() -> None:
    lab = Lab("1g.5gb")
    lab.ask("night", kind=Kind.RUN)
    lab.ask("other", kind=Kind.RUN)
    lab.minutes(60)
    assert lab.holding() == {"night"}
    lab.ask("ann")
    lab.minutes(2)
    assert lab.holding() == {"ann"}
    assert lab.lease("night").why is Why.PREEMPTED


def test_a_run_that_has_waited_long_enough_is_not_passed_over() -> None:
    lab = Lab("1g.5gb", rules=Rules(run_patience=timedelta(hours=2)))
    lab.ask("first")
    lab.ask("night", kind=Kind.RUN)
    for i in range(6):
        lab.ask(f"s{i}")
        lab.minutes(40)
    held = [x.id for x in lab.ended.values()] + sorted(lab.holding())
    assert "night" in held
    assert lab.lease("night").granted_at is not None


def test_beyond_patience_share_decides_and_beyond_twice_that_age_alone() -> None:
    lab = Lab(rules=Rules(run_patience=timedelta(hours=2)))
    for i in range(3):
        lab.ask(f"sweep-{i}", user="greedy", kind=Kind.RUN)
    lab.minutes(10)
    lab.ask("night", kind=Kind.RUN)
    lab.minutes(115, every=5)
    used = standing(lab.state, lab.now)
    used.give("", "greedy", 1.0, timedelta(hours=3))  # one of them has been served already
    rules = lab.state.house.rules

    def line() -> list[str]:
        rooms = Rooms(lab.state, lab.now)
        return [x.id for x in order(lab.state.waiting(), rooms, used, rules, lab.now)]

    assert line()[0] == "sweep-0"  # late, and the other is not yet
    lab.minutes(10)
    assert line()[0] == "night"
    lab.minutes(110, every=5)
    assert line() == ["sweep-0", "sweep-1", "sweep-2", "night"]


def test_less_used_goes_first_and_newcomers_before_all() -> None:
    lab = Lab("1g.5gb")
    lab.ask("heavy-1", user="heavy")
    lab.minutes(240, every=10)
    lab.ask("heavy-2", user="heavy")
    lab.minutes(1)
    lab.ask("new")
    lab.leave("heavy-1")
    lab.minutes(2)
    assert lab.holding() == {"new"}


def test_groups_are_served_by_weight_then_people_in_them() -> None:
    rules = Rules(min_hold=timedelta(minutes=10), notice=MINUTE, patience=timedelta(days=9))
    lab = Lab("1g.5gb", rules=rules, groups=(Group("a", 3.0), Group("b", 1.0)))
    count = 0
    for _ in range(4):
        for who, group in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")):
            lab.ask(f"{who}-{count}", user=who, group=group)
            count += 1
    for _ in range(600):
        lab.minutes(2)
        for x in list(lab.ended.values()):
            if x.id not in getattr(lab, "again", set()):
                lab.again = getattr(lab, "again", set()) | {x.id}  # type: ignore[attr-defined]
                count += 1
                who, group = x.request.user, x.request.group
                lab.ask(f"{who}-{count}", user=who, group=group)
    used = standing(lab.state, lab.now)
    assert used.groups["a"] / used.groups["b"] == pytest.approx(3, rel=0.15)
    assert used.users["a", "a1"] == pytest.approx(used.users["a", "a2"], rel=0.15)


def test_ten_requests_at_once_do_not_all_look_innocent() -> None:
    lab = Lab(*["1g.5gb"] * 4)
    lab.ask("x")
    lab.leave("x")
    for i in range(4):
        lab.state = replace(lab.state, slices={})  # nothing free while they ask
        lab.ask(f"greedy-{i}", user="greedy")
    lab.ask("late-1")
    lab.ask("late-2")
    lab.minutes(1)
    assert {"late-1", "late-2"} <= lab.holding()


# ---- quotas --------------------------------------------------------------------------------------


def test_a_used_up_quota_is_refused_and_begins_anew_with_the_week() -> None:
    rules = Rules(zone="Asia/Seoul", week_day=0)
    lab = Lab("1g.5gb", rules=rules, groups=(Group("a", user_quota=2.0),))
    lab.ask("ann-1", user="ann", group="a")
    lab.minutes(100, every=5)
    lab.leave("ann-1")
    lab.minutes(2)
    request = lab.lease("ann-1").request
    with pytest.raises(Refusal, match="A new week begins 2026-03-09 00:00"):
        claims.check_request(lab.state, replace(request, id="n", name="n"), lab.now)
    _, lab.now = week(lab.now, rules)
    claims.check_request(lab.state, replace(request, id="n", name="n"), lab.now)


def test_a_run_over_its_quota_waits_and_says_so() -> None:
    lab = Lab("1g.5gb", groups=(Group("a", quota=0.1),))
    lab.ask("night", group="a", kind=Kind.RUN)
    lab.minutes(3)
    assert lab.stage("night") is Stage.WAITING
    here = forecast.place(lab.state, "night", lab.now)
    assert here is not None
    assert (here.wait, here.opens) == (Wait.QUOTA, week(lab.now, Rules())[1])


def test_a_group_that_ended_and_one_that_is_not_ones_own() -> None:
    lab = Lab("1g.5gb", groups=(Group("old", ends=MONDAY.date() - timedelta(days=1)),))
    lab.ask("ann", group="old")
    with pytest.raises(BadInput, match="ended on 2026-03-01"):
        claims.check_request(lab.state, lab.lease("ann").request, lab.now)
    with pytest.raises(BadInput, match="not in the group other"):
        claims.check_request(
            lab.state, replace(lab.lease("ann").request, group="other"), lab.now
        )


# ---- more time -----------------------------------------------------------------------------------


def test_extend_only_where_it_takes_from_nobody() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann")
    lab.minutes(50)
    until = claims.extension(lab.state, "ann", lab.now)
    assert lab.minute(until) == 110
    lab.tell(Extended("ann", until))
    assert lab.minute(lab.lease("ann").promised) == 110
    lab.ask("bob")
    lab.minutes(30)
    with pytest.raises(Refusal) as e:
        claims.extension(lab.state, "ann", lab.now)
    assert e.value.reason == "somebody-waits"


def test_extend_not_beyond_the_longest_hold_nor_into_reserved_hours() -> None:
    lab = Lab("1g.5gb", rules=Rules(max_hold=timedelta(minutes=90)))
    lab.ask("ann")
    lab.minutes(40)
    lab.tell(Extended("ann", claims.extension(lab.state, "ann", lab.now)))
    assert lab.minute(lab.lease("ann").promised) == 90
    lab.minutes(5)
    with pytest.raises(Refusal, match="nobody may hold one any longer"):
        claims.extension(lab.state, "ann", lab.now)


# ---- reservations --------------------------------------------------------------------------------


def test_a_grant_before_a_class_ends_in_time() -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    lab.reserve("course", 60, 120, count=2)
    lab.ask("ann")
    lease = lab.lease("ann")
    assert (lab.minute(lease.until), lab.minute(lease.promised)) == (50, 50)
    lab.minutes(40)
    notice = lab.lease("ann").notice
    assert notice is not None
    assert notice.why is Why.RESERVED
    lab.minutes(12)
    assert lab.lease("ann").why is Why.RESERVED
    lab.ask("bob")
    assert lab.stage("bob") is Stage.WAITING
    lab.minutes(9)
    lab.ask("s1", group="course")
    lab.ask("s2", group="course")
    assert lab.holding() == {"s1", "s2"}


def test_what_the_class_does_not_take_goes_back_after_the_grace() -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    lab.reserve("course", 0, 90, count=2)
    lab.ask("s1", group="course")
    lab.ask("bob")
    assert lab.stage("bob") is Stage.WAITING
    here = forecast.place(lab.state, "bob", lab.now)
    assert here is not None
    assert here.wait is Wait.RESERVED
    lab.minutes(16)
    assert lab.holding() == {"s1", "bob"}


def test_in_its_hours_the_group_goes_first() -> None:
    lab = Lab("1g.5gb")
    lab.ask("x")
    lab.ask("bob")
    lab.minutes(5)
    lab.reserve("course", 0, 90)
    lab.ask("s1", group="course")
    lab.leave("x")
    lab.minutes(2)
    assert lab.holding() == {"s1"}


def test_a_later_reservation_shortens_who_is_not_promised_so_long() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann")
    lab.reserve("course", 120, 180)
    lab.minutes(1)
    assert lab.minute(lab.lease("ann").until) == 110
    lab.minutes(112, every=2)
    assert lab.holding() == set()


def test_a_member_may_stay_into_its_own_class() -> None:
    lab = Lab("1g.5gb")
    lab.reserve("course", 30, 90)
    lab.ask("s1", group="course")
    lab.minutes(60)
    assert lab.holding() == {"s1"}

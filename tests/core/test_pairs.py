"""Who is asked for whom: found by a reviewer who broke the line; each by name."""

from dataclasses import replace
from datetime import timedelta

from hub.core.lease import Kind, Observed, Stage, Why
from hub.core.rules import Group
from hub.core.share import standing
from tests.core.lab import MINUTE, Lab


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

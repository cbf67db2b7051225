"""When a slice will come: small cases by hand, and how the ranges learn."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from hub.core import forecast, past
from hub.core.forecast import Place, Wait
from hub.core.lease import Kind, Lease
from hub.core.nouns import Request, Stage
from hub.core.past import Holds, Past, Seen, seen
from hub.core.rules import Group, Rules
from tests.core.lab import MINUTE, MONDAY, Lab

DAY = timedelta(days=1)


def held(
    minutes: float, *, day: int = 1, minute: float = 0, group: str = "", wait: float = 0,
    told: tuple[float, float] | None = None,
) -> Seen:
    """Somebody who came some days ago, `minute` after nine, and worked for so long."""
    came = MONDAY - day * DAY + minute * MINUTE
    eta = told and (came + told[0] * MINUTE, came + told[1] * MINUTE)
    found = seen(Lease(
        Request(f"{came}", "u", Kind.SERVER, "", "1g.5gb", "", came, group), Stage.RELEASED,
        granted_at=came + wait * MINUTE, draining_at=came + (wait + minutes) * MINUTE, eta=eta,
    ), MONDAY)
    assert found is not None
    return found


def told(lab: Lab, id: str, learned: Past | None = None) -> tuple[Place, float, float]:
    """A place, and its range in minutes from now."""
    here = forecast.place(lab.state, id, lab.now, learned or Past())
    assert here is not None
    assert here.earliest is not None
    assert here.latest is not None
    assert here.earliest >= lab.now
    return here, (here.earliest - lab.now) / MINUTE, (here.latest - lab.now) / MINUTE


def full(lab: Lab, *holders: str) -> None:
    for id in holders:
        lab.ask(id)
    assert lab.holding() == set(holders)


def test_a_promise_and_a_notice_are_the_latest_that_is_expected() -> None:
    lab = Lab("1g.5gb")
    full(lab, "ann")
    lab.minutes(10)
    lab.ask("bob")
    here, earliest, latest = told(lab, "bob")
    assert (here.position, here.held, here.wait) == (1, 1, Wait.LINE)
    assert lab.minute(here.first_promised) == 60
    # she is promised 50 minutes more, and has fifteen to leave; she may go before
    assert 5 <= earliest <= 65 <= latest <= 80


def test_a_notice_that_runs_is_nearly_certain() -> None:
    lab = Lab("1g.5gb")
    full(lab, "ann")
    lab.minutes(70)
    lab.ask("bob")
    notice = lab.lease("ann").notice
    assert notice is not None
    _, _, latest = told(lab, "bob")
    assert 15 <= latest <= 25


def test_the_second_waits_for_the_first() -> None:
    lab = Lab("1g.5gb")
    full(lab, "ann")
    lab.ask("bob")
    lab.ask("cid")
    (one, a, b), (two, c, d) = told(lab, "bob"), told(lab, "cid")
    assert (one.position, two.position) == (1, 2)
    assert a <= c
    assert 60 < b < d
    assert d <= 75 + 90  # an hour and a notice of each, and a little


def test_with_two_slices_the_one_that_is_free_first_counts() -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    full(lab, "ann")
    lab.minutes(50)
    lab.ask("bea")
    lab.ask("bob")
    _, _, latest = told(lab, "bob")
    assert latest <= 35  # ann's promise ends in ten minutes, bea's in an hour


def test_who_holds_gives_back_as_people_did_before() -> None:
    lab = Lab("1g.5gb")
    full(lab, "ann")
    lab.ask("bob")
    short = Past.of(held(20, minute=-60 - i) for i in range(40))
    _, earliest, latest = told(lab, "bob", short)
    assert 10 <= earliest <= 20 <= latest <= 30


def test_who_was_cut_would_have_gone_on() -> None:
    works = [(10.0, False)] * 10 + [(20.0, True)] * 10 + [(90.0, False)] * 10
    holds = Holds(works)
    assert {holds.work(0, i / 30) for i in range(30)} == {10.0, 90.0}
    assert holds.work(50, 0.5) == 90.0
    assert holds.work(95, 0.5) is None
    assert Holds([(20.0, True)] * 30).work(0, 0.5) is None


def test_who_goes_before_by_share_and_is_still_to_come_counts() -> None:
    """Each day at this hour another group comes, and has used nothing."""
    lab = Lab("1g.5gb", groups=(Group("a"), Group("b")))
    lab.ask("ann", group="a")
    lab.minutes(5)
    lab.ask("bob", group="a")
    alone = Past.of(held(200, day=d, minute=-300, group="b") for d in range(1, 13))
    crowd = Past.of(
        held(200, day=d, minute=x, group="b") for d in range(1, 13) for x in (-300, 8, 9, 10)
    )
    _, _, before = told(lab, "bob", alone)
    _, _, after = told(lab, "bob", crowd)
    assert before <= 90
    assert after >= before + 60


def test_a_server_takes_a_runs_slice_at_once() -> None:
    lab = Lab("1g.5gb")
    lab.ask("night", kind=Kind.RUN)
    lab.minutes(5)
    lab.ask("bob")
    _, _, latest = told(lab, "bob")
    assert latest <= 15  # the run may have it for ten minutes


def test_in_the_quotas_week_nothing_is_foretold_but_its_end() -> None:
    lab = Lab("1g.5gb", groups=(Group("a", quota=0.1),))
    lab.ask("night", group="a", kind=Kind.RUN)
    here = forecast.place(lab.state, "night", lab.now)
    assert here is not None
    assert (here.wait, here.earliest, here.latest) == (Wait.QUOTA, None, None)
    assert here.opens == MONDAY.replace(hour=0) + 7 * DAY


def test_a_quota_counts_by_the_slices_size() -> None:
    """A quarter of an hour of a 3g is 3.5 times as much."""
    lab = Lab("3g.20gb", groups=(Group("a", quota=0.3),))
    lab.ask("night", profile="3g.20gb", group="a", kind=Kind.RUN)
    here = forecast.place(lab.state, "night", lab.now)
    assert here is not None
    assert here.wait is Wait.QUOTA


def test_who_waits_through_a_class_is_told_its_end() -> None:
    lab = Lab("1g.5gb")
    lab.reserve("course", 60, 120)
    full(lab, "ann")
    lab.minutes(45)
    lab.ask("bob")
    _, earliest, latest = told(lab, "bob")
    assert earliest >= 65
    assert 75 <= latest <= 95


def test_in_the_grace_time_both_are_possible() -> None:
    lab = Lab("1g.5gb")
    lab.reserve("course", 0, 90)
    lab.ask("bob")
    here, earliest, latest = told(lab, "bob")
    assert here.wait is Wait.RESERVED
    assert earliest <= 15  # nobody of the course comes
    assert latest >= 90  # all of them do


def test_a_member_is_not_kept_waiting_by_its_own_hours() -> None:
    lab = Lab("1g.5gb")
    full(lab, "ann")
    lab.minutes(2)
    lab.reserve("course", 30, 90)  # too late for her: she is promised an hour
    lab.ask("eve", group="course")
    lab.ask("bob")
    _, _, latest = told(lab, "eve")
    assert 73 <= latest <= 95
    _, earliest, _ = told(lab, "bob")
    assert earliest >= 80


def test_of_a_size_that_is_gone_nothing_is_foretold() -> None:
    lab = Lab("1g.5gb")
    full(lab, "ann")
    lab.ask("bob")
    lab.state = replace(lab.state, slices={})
    here = forecast.place(lab.state, "bob", lab.now)
    assert here is not None
    assert (here.wait, here.earliest) == (Wait.GONE, None)


def test_the_same_past_tells_the_same() -> None:
    lab = Lab("1g.5gb", "1g.5gb")
    full(lab, "ann", "bea")
    for id in "bcdefg":
        lab.ask(id)
    luck = Random(3)
    learned = Past.of(held(luck.randrange(5, 300), day=d, minute=luck.randrange(700))
                      for d in range(1, 14) for _ in range(20))
    first = forecast.places(lab.state, "1g.5gb", lab.now, learned)
    assert first == forecast.places(lab.state, "1g.5gb", lab.now, learned)
    assert [first[x].position for x in "bcdefg"] == [1, 2, 3, 4, 5, 6]
    # asked for one alone, the answer is the same
    assert forecast.place(lab.state, "g", lab.now, learned) == first["g"]


def test_a_past_of_a_moment_does_not_go_on_for_ever() -> None:
    lab = Lab("1g.5gb")
    full(lab, "ann")
    lab.ask("bob")
    told(lab, "bob", Past.of([held(0.001, day=0, minute=-0.01)]))


def test_ranges_are_in_whole_steps() -> None:
    lab = Lab("1g.5gb")
    full(lab, "ann")
    lab.minutes(7)
    lab.ask("bob")
    here, _, _ = told(lab, "bob")
    assert here.latest is not None
    assert here.latest.timestamp() % 300 == 0


# ---- learning ------------------------------------------------------------------------------------


def leeway(*asks: Seen) -> tuple[float, float]:
    return next(iter(Past.of(asks).leeway.values()))


def test_who_came_later_makes_the_ranges_wider_upwards() -> None:
    late = leeway(*(held(9, minute=i, wait=40, told=(5, 15)) for i in range(20)))
    early = leeway(*(held(9, minute=i, wait=1, told=(5, 15)) for i in range(20)))
    right = leeway(*(held(9, minute=i, wait=9, told=(5, 15)) for i in range(20)))
    assert late[1] > past.LEEWAY[1] > right[1]
    assert early[0] > past.LEEWAY[0] > right[0]


def test_eight_of_ten_keep_the_ranges_as_they_are() -> None:
    waits = [1, 40] + [9] * 8
    kept = leeway(*(
        held(9, minute=i, wait=waits[i % 10], told=(5, 15)) for i in range(200)
    ))
    assert kept == pytest.approx(past.LEEWAY, rel=0.1)


def test_what_was_told_of_long_waits_says_nothing_of_short_ones() -> None:
    learned = Past.of([
        *(held(9, minute=i, wait=400, told=(100, 200)) for i in range(20)),
        *(held(9, minute=i, wait=9, told=(5, 15)) for i in range(20)),
    ])
    by_soon = {soon: x for (_, soon), x in learned.leeway.items()}
    assert by_soon[2][1] > past.LEEWAY[1] > by_soon[0][1]


def test_ranges_come_true_at_their_rate() -> None:
    """Whoever holds goes by chance, and what was told is held against what came."""
    luck = Random(5)
    asks: list[Seen] = [held(luck.expovariate(1 / 40), day=d, minute=luck.randrange(600))
                        for d in range(1, 14) for _ in range(6)]
    hits = 0
    for n in range(120):
        lab = Lab("1g.5gb", rules=Rules(min_hold=timedelta(hours=9)))
        full(lab, "ann")
        lab.ask("bob")
        _, earliest, latest = told(lab, "bob", Past.of(asks))
        came = luck.expovariate(1 / 40)
        asks.append(held(9, day=0, minute=-300 + n, wait=came, told=(earliest, latest)))
        hits += earliest <= came <= latest
    assert 0.72 <= hits / 120 <= 0.92



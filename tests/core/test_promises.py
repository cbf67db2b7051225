"""What the line promises, against days that nobody planned: seeded, so that a failure repeats."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from hub.core.lease import Kind, Stage, Why
from hub.core.rules import Group, Rules
from hub.core.share import standing
from tests.core.lab import MINUTE, MONDAY, Lab

QUICK = Rules(
    min_hold=timedelta(minutes=20), max_hold=timedelta(minutes=60), run_hold=timedelta(minutes=5),
    notice=timedelta(minutes=5), idle=timedelta(minutes=10), patience=timedelta(hours=2),
    run_patience=timedelta(hours=4), grace=timedelta(minutes=10), margin=timedelta(minutes=5),
    shortest=timedelta(minutes=5),
)
GROUPS = (Group("a", 2.0), Group("b", 1.0), Group("c", 1.0))


def crowd(lab: Lab, luck: Random, people: int, *, runs: bool) -> None:
    """Somebody may ask, somebody may leave, somebody may fall idle."""
    for i in range(people):
        who = f"u{i}"
        mine = [x for x in lab.state.leases.values() if x.request.user == who]
        if not mine and luck.random() < 0.5:
            kind = Kind.RUN if runs and luck.random() < 0.3 else Kind.SERVER
            lab.count = getattr(lab, "count", 0) + 1  # type: ignore[attr-defined]
            id = f"{who}-{lab.count}"  # type: ignore[attr-defined]
            lab.ask(id, user=who, group="abc"[i % 3], kind=kind)
            lab.busy.add(id) if luck.random() < 0.7 else lab.told.add(id)
        elif mine and mine[0].live and luck.random() < 0.02:
            lab.leave(mine[0].id)


@pytest.mark.parametrize("seed", range(6))
def test_nobody_starves(seed: int) -> None:
    """Bounded holds bound the wait: patience, then everybody older, each for at most a longest
    hold on one of the slices.
    """
    luck = Random(seed)
    lab = Lab("1g.5gb", "1g.5gb", rules=QUICK, groups=GROUPS)
    people = 7
    for _ in range(240):
        crowd(lab, luck, people, runs=True)
        lab.minutes(5)
    done = [*lab.ended.values(), *lab.state.leases.values()]
    bound = QUICK.run_patience + people * (QUICK.max_hold + QUICK.notice + 2 * MINUTE)
    for x in done:
        waited = (x.granted_at or lab.now) - x.request.asked_at
        assert waited <= bound, (x, waited)
    assert sum(x.request.kind is Kind.RUN and x.granted_at is not None for x in done) > 5


@pytest.mark.parametrize("seed", range(6))
def test_nobody_is_put_out_before_what_was_promised(seed: int) -> None:
    luck = Random(seed)
    lab = Lab("1g.5gb", "1g.5gb", rules=QUICK, groups=GROUPS)
    for _ in range(150):
        crowd(lab, luck, 6, runs=True)
        lab.minutes(3)
    put_out = [x for x in lab.ended.values() if x.why is not None]
    assert {Why.WAITING, Why.IDLE} <= {x.why for x in put_out}
    for x in put_out:
        assert x.granted_at is not None
        assert x.draining_at is not None
        if x.request.kind is Kind.SERVER and x.why is Why.WAITING:
            assert x.draining_at - x.granted_at >= QUICK.min_hold + QUICK.notice
        if x.request.kind is Kind.RUN:
            assert x.draining_at - x.granted_at >= QUICK.run_hold
        assert x.draining_at - x.granted_at <= QUICK.max_hold + MINUTE or (
            x.request.kind is Kind.RUN)


@pytest.mark.parametrize("seed", range(8))
def test_a_reservation_that_was_made_in_time_is_met(seed: int) -> None:
    """Made before anybody was promised its hours, each member who comes at its beginning gets one.

    Outsiders ask all the time, and hold as long as they may.
    """
    luck = Random(seed)
    slices = luck.randrange(2, 5)
    lab = Lab(*["1g.5gb"] * slices, rules=QUICK, groups=GROUPS)
    begin = luck.randrange(90, 200)
    count = luck.randrange(1, slices + 1)
    made_at = luck.randrange(0, begin - 70)
    made = False
    while lab.minute(lab.now) < begin:
        crowd(lab, luck, 8, runs=True)
        lab.minutes(2)
        if not made and lab.minute(lab.now) >= made_at:
            made = True
            lab.reserve("course", begin, begin + 60, count)
    for i in range(count):
        lab.ask(f"s{i}", group="course")
    lab.minutes(1)
    assert [lab.stage(f"s{i}") for i in range(count)] == [Stage.RUNNING] * count


@pytest.mark.parametrize("weights", [(1, 1, 1), (3, 1, 1), (5, 3, 1)])
def test_shares_come_to_the_weights_where_all_want_more(weights: tuple[int, int, int]) -> None:
    """Twelve people who never stop asking, on three slices, for some days."""
    groups = tuple(Group(n, float(w)) for n, w in zip("abc", weights, strict=True))
    # patience serves the lightest group sooner than its weight: here only the weights count
    rules = replace(QUICK, patience=timedelta(days=2))
    lab = Lab(*["1g.5gb"] * 3, rules=rules, groups=groups)
    asked = 0
    for _ in range(700):
        for i in range(12):
            who = f"u{i}"
            if not any(x.request.user == who for x in lab.state.leases.values()):
                asked += 1
                lab.ask(f"{who}-{asked}", user=who, group="abc"[i % 3])
                lab.busy.add(f"{who}-{asked}")
        lab.minutes(5, every=2.5)
    used = standing(lab.state, lab.now).groups
    total = sum(used.values())
    for group in groups:
        fair = group.weight / sum(weights)
        # who may hold one slice at a time cannot use more than that, whatever the weight
        assert used[group.name] / total == pytest.approx(fair, abs=0.06), dict(used)


def test_use_fades_by_half_in_a_half_life() -> None:
    lab = Lab("1g.5gb")
    lab.ask("ann-1", user="ann", group="a")
    lab.minutes(120, every=5)
    lab.leave("ann-1")
    lab.minutes(1)
    then = standing(lab.state, lab.now).users["a", "ann"]
    assert then == pytest.approx(2.0, rel=0.02)
    later = standing(lab.state, lab.now + timedelta(days=7)).users["a", "ann"]
    assert later == pytest.approx(then / 2, rel=1e-6)


def test_a_big_slice_costs_what_it_blocks() -> None:
    lab = Lab("3g.20gb")
    lab.ask("ann-1", "3g.20gb", user="ann", group="a")
    lab.minutes(120, every=5)
    assert standing(lab.state, lab.now).users["a", "ann"] == pytest.approx(7.0, rel=0.02)
    assert lab.lease("ann-1").granted_at == MONDAY

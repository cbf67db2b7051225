"""What is counted while leases move: each thing once. And the gauges, out of a state."""

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from hub import metrics
from hub.core.lease import (
    Asked,
    Blocked,
    Event,
    Extended,
    Foretold,
    Kind,
    Request,
    Stage,
    Why,
    Withdrawn,
)
from hub.core.roster import parse
from hub.core.rules import Group, Usage
from hub.core.share import week
from hub.face.facts import facts_of
from tests.core.lab import MINUTE, MONDAY, Lab

MEMBERS = parse("name,group,role\nana,ml,student\nbo,vision,student\n", "roster")


class Counted(Lab):
    """A lab whose every move is counted, as the broker does it."""

    def tell(self, event: Event) -> None:
        before = self.state
        super().tell(event)
        metrics.moved(before, self.state)

    def turn(self) -> None:
        before = self.state
        super().turn()
        metrics.moved(before, self.state)


class Grown:
    """How far a sample has grown since this was made; a sample that is not there is an error."""

    def __init__(self) -> None:
        self._before = _samples()

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return _samples()[key] - self._before.get(key, 0.0)


def _samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (s.name, frozenset(s.labels.items())): s.value
        for family in REGISTRY.collect() for s in family.samples
    }


def test_a_grant_and_its_wait_are_counted_by_group_and_kind() -> None:
    lab, grown = Counted("1g.5gb"), Grown()
    metrics.expect(["ml", "vision"])
    lab.ask("a", group="ml")
    lab.minutes(5)
    lab.leave("a")
    lab.ask("b", group="vision", kind=Kind.RUN)
    lab.ask("c")
    lab.minutes(10)
    assert grown("madang_grants_total", group="ml", kind="server", reserved="no") == 1
    assert grown("madang_wait_seconds_sum", group="ml", kind="server") == 0
    # a server goes before a run, and who is in no group has a label all the same
    assert grown("madang_wait_seconds_count", group="-", kind="server") == 1
    assert grown("madang_wait_seconds_sum", group="-", kind="server") == 60
    assert grown("madang_wait_seconds_count", group="vision", kind="run") == 0
    assert grown("madang_held_seconds_count", kind="server") == 1
    assert grown("madang_held_seconds_sum", kind="server") == 300


def test_a_later_attempt_of_a_run_is_a_grant_without_a_wait() -> None:
    lab, grown = Counted("1g.5gb"), Grown()
    metrics.expect(["ml"])
    made = Request(
        "r-2", "ana", Kind.RUN, "r", "1g.5gb", "image", lab.now - timedelta(hours=9), "ml"
    )
    lab.tell(Asked(made))
    lab.turn()
    assert grown("madang_grants_total", group="ml", kind="run", reserved="no") == 1
    assert grown("madang_wait_seconds_count", group="ml", kind="run") == 0


def test_a_grant_by_a_reservation_is_told_apart() -> None:
    lab, grown = Counted("1g.5gb"), Grown()
    lab.reserve("ml", 0, 60)
    lab.ask("a", group="ml")
    assert grown("madang_grants_total", group="ml", kind="server", reserved="yes") == 1


def test_who_is_asked_back_is_counted_by_why() -> None:
    lab, grown = Counted("1g.5gb"), Grown()
    lab.ask("a")
    lab.ask("b")
    lab.minutes(90)
    assert lab.holding() == {"b"}
    for name in ("madang_notices_total", "madang_reclaims_total"):
        assert [grown(name, why=x) for x in ("waiting", "idle", "hand")] == [1, 0, 0]


def test_a_notice_that_is_taken_back_is_no_reclaim() -> None:
    lab, grown = Counted("1g.5gb"), Grown()
    lab.ask("a")
    lab.ask("b")
    lab.minutes(65)
    lab.tell(Withdrawn("b", "ended by the operator", Why.HAND))
    lab.minutes(60)
    assert grown("madang_notices_total", why="waiting") == 1
    assert sum(grown("madang_reclaims_total", why=x) for x in metrics.WHYS) == 0


def test_a_run_that_gives_way_was_told_nothing() -> None:
    lab, grown = Counted("1g.5gb"), Grown()
    lab.ask("r", kind=Kind.RUN)
    lab.minutes(15)
    lab.ask("a")
    lab.minutes(2)
    assert grown("madang_reclaims_total", why="preempted") == 1
    assert sum(grown("madang_notices_total", why=x) for x in metrics.WHYS) == 0
    assert grown("madang_held_seconds_count", kind="run") == 1


def test_an_extension_is_counted_where_it_gave_more() -> None:
    lab, grown = Counted("1g.5gb"), Grown()
    lab.ask("a")
    lab.tell(Extended("a", MONDAY + 90 * MINUTE))
    lab.tell(Extended("a", MONDAY + 80 * MINUTE))
    assert grown("madang_extensions_total") == 1


@pytest.mark.parametrize(("begin", "end", "outcome", "bucket"), [
    (10, 20, "late", (1800, 3600)), (50, 90, "within", (-900, -300)),
    (100, 200, "early", (-7200, -3600)),
])
def test_what_was_foretold_is_held_against_what_came(
    begin: int, end: int, outcome: str, bucket: tuple[int, int]
) -> None:
    """It comes after 60 minutes; the middles lie at 15, 70 and 150."""
    lab, grown = Counted("1g.5gb"), Grown()
    lab.ask("a")
    lab.ask("b")
    lab.tell(Foretold("b", MONDAY + begin * MINUTE, MONDAY + end * MINUTE))
    lab.minutes(59)
    lab.leave("a")
    lab.minutes(10)
    assert lab.stage("b") is Stage.RUNNING
    found = {x: grown("madang_eta_total", outcome=x) for x in ("early", "within", "late")}
    assert found == {**dict.fromkeys(found, 0), outcome: 1}
    assert [grown("madang_eta_error_seconds_bucket", le=str(float(x))) for x in bucket] == [0, 1]


# ---- gauges ------------------------------------------------------------------------------------


def test_slices_are_told_by_state_and_add_up() -> None:
    lab = Lab(*["1g.5gb"] * 6, "3g.20gb")
    lab.ask("a")
    lab.ask("b")
    lab.minutes(1)
    lab.reserve("ml", 0, 120, count=2)
    lab.leave("b")
    lab.tell(Blocked(lab.slices[5].key, "its fan is loud"))
    facts = facts_of(lab.state, {}, MEMBERS, lab.now)
    small = {k: v for (k, profile), v in facts.slices.items() if profile == "1g.5gb"}
    assert small == {
        "held": 1, "draining": 1, "blocked": 1, "reserved": 2, "free": 1, "ending": 0,
        "quarantined": 0, "missing": 0, "busy": 0,
    }
    assert sum(facts.slices.values()) == len(lab.slices)
    assert facts.reserved == {"1g.5gb": 2, "3g.20gb": 0}


def test_a_member_who_takes_a_reserved_slice_leaves_one_less_to_keep() -> None:
    lab = Lab(*["1g.5gb"] * 3)
    lab.reserve("ml", 0, 120, count=2)
    lab.ask("a", group="ml")
    facts = facts_of(lab.state, {}, MEMBERS, lab.now)
    assert (facts.slices["reserved", "1g.5gb"], facts.slices["free", "1g.5gb"]) == (1, 1)
    assert facts.reserved == {"1g.5gb": 2}
    lab.minutes(20)  # the grace time is over: what was not taken goes back to all
    facts = facts_of(lab.state, {}, MEMBERS, lab.now)
    assert (facts.slices["reserved", "1g.5gb"], facts.slices["free", "1g.5gb"]) == (0, 2)


def test_a_holder_who_was_told_is_ending_and_the_line_has_an_age() -> None:
    lab = Lab("1g.5gb", "3g.20gb")
    lab.ask("a")
    lab.minutes(30)
    lab.ask("b")
    lab.minutes(32)
    facts = facts_of(lab.state, {}, MEMBERS, lab.now)
    assert facts.slices["ending", "1g.5gb"] == 1
    assert facts.line == {"1g.5gb": 1, "3g.20gb": 0}
    assert facts.oldest == {"1g.5gb": 32 * 60, "3g.20gb": 0}
    # all that is free is of a size that nobody asks for
    assert facts.fragmentation == 1


def test_shares_stand_against_use() -> None:
    lab = Lab("1g.5gb", groups=(Group("ml", weight=3, quota=40), Group("vision")))
    begins, _ = week(MONDAY, lab.state.house.rules)
    lab.state = replace(lab.state, house=replace(lab.state.house, usage={
        ("ml", "ana"): Usage(6.0, MONDAY, 4.0, begins),
        ("gone", "zoe"): Usage(4.0, MONDAY, 1.0, begins),
    }))
    facts = facts_of(lab.state, {}, MEMBERS, lab.now)
    assert facts.share == {"ml": 0.75, "vision": 0.25}
    # what a group that is gone has used is part of the whole
    assert facts.use == pytest.approx({"ml": 0.6, "vision": 0})
    assert facts.quota == {"ml": 40}
    lab.ask("bo", group="vision")
    lab.minutes(60)
    facts = facts_of(lab.state, {}, MEMBERS, lab.now)
    assert facts.week == pytest.approx({"ml": 4, "vision": 1})
    assert 0 < facts.use["vision"] < 0.1

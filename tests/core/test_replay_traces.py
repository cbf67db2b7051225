"""What a replay is made from: traces laid on a lab, and the operator's "what if"."""

from datetime import timedelta

import pytest

from hub.core.nouns import Kind
from hub.core.replay import contest, traces, whatif
from hub.core.replay.jobs import DAY, HOUR, drawn, fitted, slices_of
from hub.errors import BadInput
from tests.core.test_replay import EVEN, LAB, OPENB, house, job


def test_a_trace_keeps_its_load_and_its_mix() -> None:
    plan = traces.Plan(people=20, days=7, load=0.9)
    trace = traces.trace_of(OPENB, LAB, plan)
    rate = {s.key.profile: s.rate for s in LAB}
    asked = sum((x.work + x.tail) * rate[x.profile] for x in trace.jobs)
    assert asked == pytest.approx(0.9 * sum(s.rate for s in LAB) * 7 * DAY, rel=0.02)
    sizes = [sum(x.profile == p for x in trace.jobs) for p in ("1g.5gb", "2g.10gb", "3g.20gb")]
    assert sizes[0] > sizes[1] > sizes[2] > 0
    assert all(0 <= x.asked_at < 7 * DAY for x in trace.jobs)
    assert any("made up" in str(x) for x in trace.said)
    assert len({x.id for x in trace.jobs}) == len(trace.jobs)


def test_philly_has_run_times_only() -> None:
    text = "runtime\n" + "\n".join(str(60 + i * 7) for i in range(900))
    trace = traces.trace_of(text, LAB, traces.Plan(days=2))
    assert {x.kind for x in trace.jobs} == set(Kind)
    hours = [x.asked_at % DAY / HOUR for x in trace.jobs if x.kind is Kind.SERVER]
    assert sum(8 <= x < 22 for x in hours) > 0.7 * len(hours)


@pytest.mark.parametrize(("text", "plan", "says"), [
    ("", {}, "an empty file"),
    ("a,b\n1,2", {}, "a, b"),
    ("name,num_gpu,creation_time\n", {}, "lacks the columns qos"),
    (OPENB.splitlines()[0], {}, "nothing in the trace"),
    ("runtime\nx\n-1\nnan\n", {}, "nothing in the trace"),
    ('"', {}, "no trace"),
    (OPENB, {"people": 1}, "--people"),
    (OPENB, {"days": 0}, "--days"),
    (OPENB, {"load": 0}, "--load"),
    (OPENB, {"load": float("nan")}, "--load"),
    (OPENB, {"weights": {"a": -1.0}}, "weights"),
])
def test_what_is_no_trace_is_refused(text: str, plan: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        traces.trace_of(text, LAB, traces.Plan(**plan))  # type: ignore[arg-type]


@pytest.mark.parametrize("card", [
    "A100-40", "A100-40:", "A100-40:9g.5gb", "X100:1g.5gb", "A100-40:7g.40gb,1g.5gb", "",
])
def test_a_card_that_cannot_be_is_refused(card: str) -> None:
    with pytest.raises(BadInput):
        slices_of([card])


def test_what_if() -> None:
    base = contest.Lab("x", LAB, house())
    lab = whatif.lab_of("min_hold=30m weights=a=2,b=0.5 more=A100-40:7g.40gb", base, EVEN)
    assert lab.house.rules.min_hold == timedelta(minutes=30)
    assert {k: x.weight for k, x in lab.house.groups.items()} == {"a": 2, "b": 0.5, "c": 1}
    assert len(lab.slices) == len(LAB) + 1
    assert len({s.key for s in lab.slices}) == len(lab.slices)
    cut = whatif.lab_of("cards=A100-40:2g.10gb;A100-40:full", base, EVEN)
    assert [s.key.profile for s in cut.slices] == ["2g.10gb", "full"]


@pytest.mark.parametrize("text", [
    "", "x=1", "min_hold", "min_hold=30", "min_hold=0m", "min_hold=99999d", "weights=z=1",
    "weights=a=0", "weights=a", "zone=1d", "more=A100-40:9g", "weights=a=nan",
])
def test_what_cannot_be_compared_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        whatif.lab_of(text, contest.Lab("x", LAB, house()), EVEN)


def test_sizes_that_are_not_there_become_the_next_larger() -> None:
    jobs = [job(x, 0, 1, profile=x) for x in ("1g.5gb", "3g.20gb", "4g.20gb", "1g.18gb")]
    found, moved = fitted(jobs, slices_of(["A100-40:2g.10gb,3g.20gb"]))
    assert [x.profile for x in found] == ["2g.10gb", "3g.20gb", "3g.20gb", "3g.20gb"]
    assert moved == 3


def test_chance_is_from_the_seed() -> None:
    assert drawn(1, "a") == drawn(1, "a") != drawn(2, "a")
    values = [drawn("x", i) for i in range(2000)]
    assert sum(values) / 2000 == pytest.approx(0.5, abs=0.03)
    assert min(values) >= 0
    assert max(values) < 1

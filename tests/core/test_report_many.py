"""The report of many runs: found in one pass, and the same as looking through all for each."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.core.report import Entry, before_of, report_of
from hub.core.runs import Run, RunStage

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


@st.composite
def histories(draw: st.DrawFn) -> list[Run]:
    """Runs of two people with two notebooks; many end at one moment, or have not begun."""
    return [
        Run(
            id=id, user=draw(st.sampled_from("ab")), notebook=draw(st.sampled_from("nm")),
            profile="p", image="i", parameters={"lr": draw(st.sampled_from([1, 2]))},
            stage=draw(st.sampled_from([RunStage.SUCCEEDED, RunStage.SUCCEEDED, *RunStage])),
            asked_at=NOW - draw(st.integers(8, 9)) * HOUR, folder="f",
            ended_at=draw(st.none() | st.integers(0, 6).map(lambda x: NOW - x * HOUR)),
            sweep=draw(st.sampled_from(["", "", "s", "t"])), metrics={"loss": draw(st.integers())},
        )
        for id in draw(st.lists(st.text("xyz", min_size=1, max_size=3), unique=True, max_size=25))
    ]


def before_by_looking_through_all(run: Run, runs: Sequence[Run]) -> Run | None:
    return max((
        x for x in runs
        if (x.user, x.notebook) == (run.user, run.notebook) and x.id != run.id and not x.sweep
        and x.stage is RunStage.SUCCEEDED and x.ended_at and run.ended_at
        and x.ended_at <= run.ended_at
    ), key=lambda x: (x.ended_at, x.id), default=None)


@given(histories(), st.integers(0, 6), st.integers(0, 6))
def test_a_report_is_as_if_each_run_had_looked_through_all(
    runs: list[Run], since: int, until: int
) -> None:
    first, last = NOW - since * HOUR, NOW - until * HOUR
    found = report_of(runs, first, last)
    ended = [x for x in runs if x.done and x.ended_at and first <= x.ended_at < last]
    assert {x.run.id for x in found.entries} == {x.id for x in ended if not x.sweep}
    for entry in found.entries:
        before = before_by_looking_through_all(entry.run, runs)
        assert entry.before == before == before_of(entry.run, runs)
        assert [x.before for x in entry.figures] == [before and before.metrics["loss"]]
    assert found.counts == Counter(x.stage for x in ended)
    swept = sorted((x for x in ended if x.sweep), key=lambda x: (x.asked_at, x.id))
    assert [x.id for x in found.sweeps] == list(dict.fromkeys(x.sweep for x in swept))[::-1]
    for sweep in found.sweeps:
        assert sweep.counts == Counter(x.stage for x in runs if x.sweep == sweep.id)
        first_one = min(
            (x for x in runs if x.sweep == sweep.id), key=lambda x: (x.asked_at, x.id))
        assert (sweep.user, sweep.notebook) == (first_one.user, first_one.notebook)


def test_a_term_of_runs_is_read_once_not_once_for_each() -> None:
    looked = 0

    class Counted(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal looked
            looked += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    runs = [
        Run(
            id=str(i), user=Counted("ana"), notebook="n", profile="p", image="i", parameters={},
            stage=RunStage.SUCCEEDED, asked_at=NOW, folder="f",
            ended_at=NOW - timedelta(seconds=i + 1),
        ) for i in range(500)
    ]
    entries: tuple[Entry, ...] = report_of(runs, NOW - HOUR, NOW).entries
    assert [x.before and x.before.id for x in entries] == [*map(str, range(1, 500)), None]
    assert looked < 5000

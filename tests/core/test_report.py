"""The report: what ended, what it is compared with, and its figures."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.core.figures import Figure, figures, flat, shown
from hub.core.report import Entry, before_of, entry_of, report_of
from hub.core.runs import Run, RunStage

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
SINCE = NOW - timedelta(hours=12)
S = RunStage


def ran(id: str, ago: float, stage: RunStage = S.SUCCEEDED, **rest: Any) -> Run:
    """A run that ended `ago` hours before, after ten minutes."""
    ended = NOW - timedelta(hours=ago)
    made = Run(
        id=id, user="ana", notebook="n.ipynb", profile="1g.5gb", image="i", parameters={},
        stage=stage, asked_at=ended - timedelta(minutes=11), folder="runs/n",
        started_at=ended - timedelta(minutes=10), ended_at=ended,
    )
    return replace(made, **rest)


def waiting(id: str, stage: RunStage, **rest: Any) -> Run:
    return ran(id, 0, stage, started_at=None, ended_at=None, **rest)


def test_what_went_wrong_comes_first_then_the_newest() -> None:
    runs = [
        ran("old", 13), ran("a", 5), ran("b", 1), ran("c", 3, S.FAILED), ran("d", 4, S.LOST),
        ran("e", 2, S.CANCELLED), waiting("f", S.WAITING), waiting("g", S.PLANNED),
    ]
    found = report_of(runs, SINCE, NOW)
    assert [x.run.id for x in found.entries] == ["c", "d", "b", "e", "a"]
    assert (found.succeeded, found.failed) == (2, 2)
    assert found.counts == {S.SUCCEEDED: 2, S.FAILED: 1, S.LOST: 1, S.CANCELLED: 1}
    assert found.still == {S.WAITING: 1, S.PLANNED: 1}


def test_the_end_belongs_to_the_next_report() -> None:
    one = ran("a", 0)
    assert report_of([one], SINCE, NOW).entries == ()
    assert len(report_of([one], NOW, NOW + timedelta(hours=1)).entries) == 1


def test_a_run_is_compared_with_the_last_that_had_succeeded_before() -> None:
    one = ran("now", 1)
    others = [
        ran("older", 30), ran("before", 25), ran("failed", 20, S.FAILED), ran("later", 0.5),
        ran("whose", 20, user="bo"), ran("other", 20, notebook="m.ipynb"), one,
        waiting("planned", S.PLANNED), ran("swept", 20, sweep="s"),
    ]
    found = before_of(one, others)
    assert found
    assert found.id == "before"
    assert before_of(ran("first", 40), others) is None


def test_a_point_of_a_sweep_is_compared_with_the_same_point_of_an_earlier_one() -> None:
    one = ran("now", 1, sweep="s2", parameters={"lr": 0.1})
    others = [
        ran("same", 25, sweep="s1", parameters={"lr": 0.1}),
        ran("unlike", 20, sweep="s1", parameters={"lr": 0.2}),
        ran("beside", 2, sweep="s2", parameters={"lr": 0.1}),
    ]
    found = before_of(one, others)
    assert found
    assert found.id == "same"


def test_runs_of_a_sweep_are_one_line_and_counted_as_they_ended() -> None:
    runs = [ran(f"s{i}", 13 if i < 2 else 1, sweep="w") for i in range(5)]
    runs += [ran("s5", 2, S.FAILED, sweep="w"), waiting("s6", S.RUNNING, sweep="w")]
    found = report_of(runs, SINCE, NOW)
    assert found.entries == ()
    (sweep,) = found.sweeps
    assert sweep.counts == {S.SUCCEEDED: 5, S.FAILED: 1, S.RUNNING: 1}
    assert (found.succeeded, found.failed) == (3, 1)


def test_what_failed_says_where_and_why() -> None:
    error = {"cell": 7, "ename": "KeyError", "evalue": "'x'\nmore", "lines": ["a", "\x1b[31mb"]}
    found = Entry(ran("a", 1, S.FAILED, error=error), None, ())
    assert (found.cell, found.error, found.lines) == (7, "KeyError: 'x'", ("a", "b"))
    assert found.seconds == 600
    assert Entry(ran("a", 1, error=error), None, ()).cell is None


@pytest.mark.parametrize("error", [
    None, {}, {"cell": "7"}, {"cell": True}, {"cell": -1}, {"lines": "text"}, {"lines": [1, {}]},
    {"ename": None, "evalue": {"a": 1}},
])
def test_an_error_that_a_student_wrote_into_run_json_breaks_nothing(error: Any) -> None:
    found = Entry(ran("a", 1, S.FAILED, error=error), None, ())
    assert found.cell is None
    assert isinstance(found.error, str)
    assert found.lines == ()


def test_figures_stand_beside_those_of_the_run_before() -> None:
    before = ran("a", 20, metrics={"loss": 0.4, "steps": 10, "gone": 1, "best": "a"})
    now = ran("b", 1, metrics={"loss": 0.3, "steps": 10, "best": "b", "new": 2})
    found = {x.name: x for x in entry_of(now, [before, now]).figures}
    assert list(found) == ["loss", "steps", "best", "new", "gone"]
    assert found["loss"].change == pytest.approx(-0.1)
    assert found["loss"].part == pytest.approx(-0.25)
    assert found["steps"] == Figure("steps", 10, 10, 0, 0)
    assert found["best"] == Figure("best", "b", "a")
    assert found["new"] == Figure("new", 2)
    assert found["gone"] == Figure("gone", None, 1)


def test_figures_of_every_kind_become_a_number_or_a_short_text() -> None:
    found = flat({
        "test": {"loss": 1, "deep": {"er": {"x": 1}}}, "ok": True, "none": None, "list": [1, 2],
        "nan": float("nan"), "huge": 10**400, "text": "a\n  b", "long": "x" * 500,
        "half": "\ud800", "n" * 500: 1,
    })
    assert found["test.loss"] == 1
    assert (found["ok"], found["list"], found["nan"]) == ("true", "[2]", "nan")
    assert found["text"] == "a b"
    assert "none" not in found
    assert all(len(str(x)) <= 81 for pair in found.items() for x in pair)
    str(found).encode()
    assert len(flat({str(i): i for i in range(1000)})) == 200


def test_change_from_zero_has_no_part() -> None:
    (found,) = figures({"x": 1}, {"x": 0})
    assert (found.change, found.part) == (1, None)


@pytest.mark.parametrize(("after", "before"), [
    (10**308, -10**308), (1e308, -1e308), (2**63 - 1, -2**63 + 1), (1e308, 5e-324),
])
def test_what_is_further_apart_than_a_number_goes(after: float, before: float) -> None:
    (found,) = figures({"x": after}, {"x": before})
    for value in (found.value, found.before, found.change, found.part):
        assert "inf" not in shown(value)


@pytest.mark.parametrize(("value", "text"), [
    (None, ""), ("a", "a"), (5, "5"), (5.0, "5"), (0.123456, "0.1235"), (1e-9, "1e-09"),
    (1e20, "1e+20"), (123456.5, "1.235e+05"), (-0.5, "-0.5"),
])
def test_figures_for_people(value: Any, text: str) -> None:
    assert shown(value) == text

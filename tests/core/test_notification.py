"""What is told of a run's end, and what is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.core.notification import (
    WAITS,
    Notification,
    again,
    as_json,
    made,
    of_json,
    of_run,
    of_sweep,
    places,
)
from hub.core.runs import Run, RunStage

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
RUN = Run(
    id="ab12", user="ana", notebook="night.ipynb", profile="1g.5gb", image="i",
    parameters={"token": "of no interest"}, stage=RunStage.FAILED, asked_at=NOW, folder="runs/x",
    started_at=NOW, ended_at=NOW + timedelta(minutes=3), message="cell 3/5: ValueError: no\nsecond",
    error={"cell": 3, "ename": "ValueError", "evalue": "no such\nsecond line", "lines": ["x = 1"]},
    notify=("https://h.example/", "mailto:a@example.org", "https://h.example/"),
)


def test_of_a_failure_the_first_line_and_nothing_else_of_the_notebook() -> None:
    news = of_run(RUN)
    assert (news.error, news.cell, news.message) == ("ValueError: no such", 3, "")
    assert (news.path, news.took) == ("runs/ab12", timedelta(minutes=3))
    told = str(made(news, "T", "text", "", NOW))
    for inner in ("second line", "x = 1", "of no interest"):
        assert inner not in told


@pytest.mark.parametrize(("error", "said"), [
    ({"cell": 1, "ename": "E", "evalue": ""}, ("E", 1)),
    ({"cell": None, "ename": "", "evalue": " v \x1b[31m\u202e "}, ("v [31m", None)),
    ({"cell": "x", "ename": None, "evalue": None}, ("", None)),
    ({"cell": 2, "ename": "E", "evalue": "y" * 500}, ("E: " + "y" * 196 + "…", 2)),
    ({"ename": {"a": 1}, "evalue": ["b"]}, ("{'a': 1}: ['b']", None)),
])
def test_an_error_may_be_anything(error: dict[str, Any], said: tuple[str, int | None]) -> None:
    news = of_run(replace(RUN, error=error))
    assert (news.error, news.cell) == said


def test_without_an_error_its_message() -> None:
    news = of_run(replace(RUN, error=None, stage=RunStage.TIMED_OUT, message="out of\ntime"))
    assert (news.message, news.error) == ("out of time", "")


def test_one_for_each_place_with_an_id_that_stays() -> None:
    one, two = made(of_run(RUN), "T", "text", "https://m/x", NOW)
    assert (one.id, two.id) == ("ab12-0", "ab12-1")
    assert places("ab12", RUN.notify) == {one.id: one.target, two.id: two.target}
    assert one.body["id"] == "ab12-0"
    assert one.body["event"] == "run.ended"
    assert one.body["text"] == "text\nhttps://m/x"
    assert one.body["run"]["stage"] == "failed"
    assert made(of_run(RUN), "T", "text", "", NOW)[0].body["text"] == "text"


@pytest.mark.parametrize(("stages", "worst"), [
    (["succeeded", "succeeded"], "succeeded"), (["succeeded", "cancelled"], "cancelled"),
    (["cancelled", "succeeded", "timed-out"], "timed-out"),
])
def test_a_sweep_is_told_once(stages: list[str], worst: str) -> None:
    runs = [
        replace(RUN, id=f"r{i}", sweep="s1", stage=RunStage(x), started_at=NOW + timedelta(hours=i),
                ended_at=NOW + timedelta(hours=i + 1)) for i, x in enumerate(stages)
    ]
    news = of_sweep(runs)
    assert (news.id, news.path, news.stage) == ("s1", "sweeps/s1", RunStage(worst))
    assert sum(news.counts.values()) == len(stages)
    assert news.took == timedelta(hours=len(stages))
    (first, _) = made(news, "T", "x", "", NOW)
    assert (first.id, first.body["event"]) == ("s1-0", "sweep.ended")
    assert first.body["sweep"]["count"] == len(stages)


def test_it_is_tried_a_few_times_and_then_dropped() -> None:
    (one, _) = made(of_run(RUN), "T", "x", "", NOW)
    tries, at = [one], NOW
    while (after := again(tries[-1], at)) is not None:
        assert after.next_at > at
        tries.append(after)
        at = after.next_at
    assert [x.tries for x in tries] == list(range(len(WAITS) + 1))
    assert at - NOW == sum(WAITS, timedelta())


def test_it_is_kept_as_it_is() -> None:
    (one, _) = made(of_run(RUN), "밤", "x", "", NOW)
    assert of_json(as_json(one)) == one


@pytest.mark.parametrize("kept", [
    {}, {"id": "x"}, {"next_at": 3}, {"next_at": "no time"}, {"surplus": 1},
])
def test_what_is_none_is_refused(kept: dict[str, Any]) -> None:
    whole = as_json(Notification("i", "u", "t", "T", "x", "", {}, NOW))
    given = kept if not kept or "id" in kept else whole | kept
    with pytest.raises((TypeError, ValueError, KeyError)):
        of_json(given)

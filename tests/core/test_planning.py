"""Who of the planned runs asks now; what is tried once more; sweeps."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.planning import (
    BACKOFF,
    IN_LINE,
    MENDABLE,
    Planned,
    check_after,
    check_share,
    enters,
    mended,
    not_started,
    once_more,
    planned,
    promote,
)
from hub.core.runs import DONE, Run, RunStage, Submission
from hub.core.sweeps import Sweep, lines, new_runs, points
from hub.errors import BadInput, Refusal

NOW = datetime(2026, 11, 23, 22, tzinfo=UTC)
S = RunStage
NOTEBOOK = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
    {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "lr = 1\nseed = 0"},
]}


def plan(id: str, user: str = "kim", **rest: Any) -> Planned:
    return Planned(id, user, rest.pop("asked_at", NOW), **rest)


def run(id: str = "a", stage: RunStage = S.RUNNING, **rest: Any) -> Run:
    fields: dict[str, Any] = {
        "user": "kim", "notebook": "n.ipynb", "profile": "1g.5gb", "image": "i", "parameters": {},
        "asked_at": NOW, "folder": "runs/a",
    }
    return Run(id=id, stage=stage, **{**fields, **rest})


def ask(*waiting: Planned, runs: Any = (), ended: Any = None, most: int = 9) -> tuple[str, ...]:
    return promote(waiting, runs, ended or {}, most=most, now=NOW).ask


def test_the_oldest_ask_first_and_one_person_has_so_many_in_the_line() -> None:
    later = NOW + timedelta(seconds=1)
    found = ask(plan("c", asked_at=later), plan("b"), plan("a"), plan("z", "lee"), most=2,
                runs=[run("x")])
    assert found == ("a", "z")


def test_a_time_that_has_not_come_and_a_run_that_has_not_succeeded_keep_one_waiting() -> None:
    second = timedelta(seconds=1)
    assert ask(plan("a", not_before=NOW + second), plan("b", not_before=NOW)) == ("b",)
    assert ask(plan("a", after="x")) == ()
    assert ask(plan("a", after="x"), ended={"x": S.SUCCEEDED}) == ("a",)
    assert ask(plan("a", after="x", not_before=NOW + second), ended={"x": S.SUCCEEDED}) == ()


@pytest.mark.parametrize("stage", sorted(DONE - {S.SUCCEEDED}))
def test_after_an_end_that_was_no_success_it_never_begins(stage: RunStage) -> None:
    turn = promote([plan("a", after="x", not_before=NOW + timedelta(days=1))], [], {"x": stage},
                   most=9, now=NOW)
    assert (turn.ask, dict(turn.gone)) == (
        (), {"a": f"it was to begin after x, which has ended: {stage}"})
    with pytest.raises(BadInput, match="has ended"):
        check_after(run(stage=stage))
    check_after(run(stage=S.SUCCEEDED))
    check_after(run(stage=S.PLANNED))


def test_a_schedules_later_slot_waits_for_the_earlier_one_also_while_that_is_planned() -> None:
    first, second = (plan(x, schedule="s", slot=f"2026-11-2{x}T02:00") for x in "34")
    assert ask(second, first) == ("3",)
    assert ask(second, runs=[run("x", schedule="s", slot="2026-11-23T02:00")]) == ()
    assert ask(second, runs=[run("x", schedule="s", slot="2026-11-24T02:00")]) == ("4",)
    assert ask(second, runs=[run("x", schedule="t", slot="2026-11-23T02:00")]) == ("4",)
    assert ask(second, runs=[run("x", schedule="s")]) == ("4",), "run by hand"
    # the earlier one is tried again in a while
    again = replace(first, not_before=NOW + timedelta(minutes=5))
    assert ask(second, again) == ()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans())), st.integers(1, 4))
def test_nobody_asks_twice_or_too_soon(these: list[tuple[str, bool, bool]], most: int) -> None:
    waiting = [
        plan(str(i), user, not_before=NOW + timedelta(hours=1) if early else None,
             after="x" if waits else "")
        for i, (user, early, waits) in enumerate(these)
    ]
    found = ask(*waiting, most=most)
    assert len(found) == len(set(found))
    known = {x.id: x for x in waiting}
    assert not any(known[x].not_before or known[x].after for x in found)
    for user in "abc":
        mine = [x for x in found if known[x].user == user]
        could = [x for x in waiting if x.user == user and not x.not_before and not x.after]
        assert len(mine) == min(most, len(could))


def test_a_new_run_is_in_the_line_where_it_may_be() -> None:
    new = run(stage=S.WAITING, lined_at=NOW)
    assert planned(new, NOW, room=True).stage is S.WAITING
    assert planned(replace(new, not_before=NOW), NOW, room=True).not_before is None
    for held in (
        planned(new, NOW, room=False), planned(replace(new, after="x"), NOW, room=True),
        planned(replace(new, not_before=NOW + timedelta(1)), NOW, room=True),
        planned(replace(new, slot="2026-11-24T02:00"), NOW, room=True),
    ):
        assert (held.stage, held.lined_at) == (S.PLANNED, None)
        assert enters(held, at=NOW).lined_at == NOW
    assert enters(run(stage=S.CANCELLED), at=NOW).stage is S.CANCELLED


def test_tries_are_used_up_and_each_waits_longer() -> None:
    now, found = run(stage=S.LOST, retries=5, message="killed", lined_at=NOW), []
    while now.done:
        after = mended(replace(now, stage=S.LOST), at=NOW)
        if after.done:
            break
        found.append(after.not_before - NOW if after.not_before else None)
        assert (after.stage, after.lined_at) == (S.PLANNED, NOW)
        now = replace(after, stage=S.LOST)
    assert found == [*BACKOFF, BACKOFF[-1], BACKOFF[-1]]
    assert (now.attempt, now.retries, now.retried) == (6, 0, 5)


@given(st.sampled_from(RunStage), st.integers(0, 3))
def test_only_ends_that_are_the_machines_are_mended(stage: RunStage, retries: int) -> None:
    before = run(stage=stage, retries=retries)
    after = mended(before, at=NOW)
    assert (after != before) == (stage in MENDABLE and retries > 0)
    assert once_more(run(stage=S.RUNNING, retries=3), at=NOW).stage is S.RUNNING


def test_a_start_that_failed_for_what_was_asked_is_a_failure() -> None:
    starting = run(stage=S.STARTING, retries=1)
    assert not_started(starting, "why", mendable=False, at=NOW).stage is S.FAILED
    assert not_started(starting, "why", mendable=True, at=NOW).stage is S.PLANNED
    stopping = run(stage=S.STOPPING, retries=1)
    assert not_started(stopping, "why", mendable=True, at=NOW).stage is S.CANCELLED


def test_nobody_has_more_open_runs_than_allowed() -> None:
    check_share(3, 1, 4)
    with pytest.raises(Refusal, match="3 runs") as caught:
        check_share(3, 2, 4)
    assert (caught.value.reason, caught.value.status) == ("too-many-runs", 429)
    assert S.PLANNED not in IN_LINE


# ---- sweeps -------------------------------------------------------------------------------------


def test_points_are_every_combination_the_last_name_changing_fastest() -> None:
    assert points({"x": 1}, {"lr": [0.1, 0.2], "seed": [0, 1]}) == [
        {"x": 1, "lr": 0.1, "seed": 0}, {"x": 1, "lr": 0.1, "seed": 1},
        {"x": 1, "lr": 0.2, "seed": 0}, {"x": 1, "lr": 0.2, "seed": 1},
    ]


@pytest.mark.parametrize(("shared", "sweep", "says"), [
    ({}, {}, "values"), ({}, {"lr": []}, "Without values: lr"),
    ({"lr": 1}, {"lr": [1]}, "swept as well"),
    ({}, {"a": list(range(101)), "b": list(range(10))}, "1010 points"),
])
def test_what_is_no_sweep(shared: Any, sweep: Any, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        points(shared, sweep)
    assert caught.value.reason == "sweep"


def swept(**sweep: list[Any]) -> list[Run]:
    ids = iter([f"id{i}" for i in range(1000)])
    wanted = Submission("kim", "n.ipynb", NOTEBOOK, {}, "1g.5gb", sweep=sweep)
    return new_runs(wanted, ids, "sweep1", now=NOW, image="i", limit=60)


def test_runs_of_a_sweep_are_in_its_order_each_with_its_own_seed_and_folder() -> None:
    made = swept(lr=[0.1], seed=[5, 6, "x"])
    assert [x.parameters["seed"] for x in made] == [5, 6, "x"]
    assert [x.seed for x in made] == [5, 6, None]
    assert [x.folder for x in made] == [f"runs/2026-11-23-n-id{i}" for i in range(3)]
    assert sorted(made, key=lambda x: x.asked_at) == made
    assert len({x.asked_at for x in made}) == 3
    assert {x.input_id for x in made} == {"sweep1"}
    assert Sweep("sweep1", tuple(made)).names == ("seed",)
    assert Sweep("sweep1", tuple(made[:1])).names == ("lr", "seed")


def test_a_sweep_of_something_unknown_or_too_large_is_refused() -> None:
    with pytest.raises(BadInput, match="does not know the parameter"):
        swept(unknown=[1, 2])
    with pytest.raises(BadInput, match="larger data into a file"):
        swept(lr=["x" * 60_000] * 100)


def test_sweeps_in_a_list() -> None:
    a, b = (replace(x, stage=stage) for x, stage in zip(swept(lr=[1, 2]), (S.FAILED, S.RUNNING),
                                                        strict=True))
    other = replace(a, sweep="sweep2")
    found = lines([(a, 3), (b, 1), (other, 2)])
    assert [(x.id, x.counts) for x in found] == [
        ("sweep1", {S.FAILED: 3, S.RUNNING: 1}), ("sweep2", {S.FAILED: 2}),
    ]

"""Runs that are kept and not in the line yet, and sweeps."""

from datetime import timedelta
from typing import Any

import pytest

from hub.core.runs import RunStage
from hub.core.sweeps import Sweep
from hub.errors import BadInput, NotFound, Refusal
from tests.floor.floors import Floor, MovedClock, ends

S = RunStage


@pytest.fixture
def time(floor: Floor) -> MovedClock:
    return MovedClock(floor)


def sweep(floor: Floor, *values: int, **rest: Any) -> Sweep:
    wanted = floor.wanted(sweep={"epochs": list(values)}, parameters={}, **rest)
    return floor.batch.sweep(wanted)


# ---- its time, and what it comes after ----------------------------------------------------------


def test_a_run_asks_when_its_time_has_come_and_not_before(floor: Floor, time: MovedClock) -> None:
    run = floor.submit(not_before=time.now + timedelta(hours=2))
    floor.tick(2)
    assert floor.stage(run) is S.PLANNED
    assert not floor.broker.state().leases
    time.passes(hours=2, seconds=1)
    floor.tick()
    assert floor.stage(run) is S.RUNNING
    lease = floor.broker.state().leases[run.id]
    # who is planned does not grow old in the line
    assert lease.request.asked_at == time.now
    assert floor.batch.get(run.id).asked_at < time.now


def test_a_run_after_another_begins_when_that_has_succeeded(floor: Floor) -> None:
    first = floor.submit()
    second = floor.submit(after=first.id[:6])
    assert (second.stage, second.after) == (S.PLANNED, first.id)
    floor.tick(2)
    assert floor.stage(second) is S.PLANNED
    ends(floor, first)
    floor.tick(2)
    assert floor.stage(second) is S.RUNNING


def test_what_was_to_begin_after_a_failure_is_cancelled_and_says_so(floor: Floor) -> None:
    first = floor.submit()
    second = floor.submit(after=first.id)
    third = floor.submit(after=second.id)
    ends(floor, first, 1)
    floor.tick(2)
    assert floor.batch.get(second.id).stage is S.CANCELLED
    assert floor.batch.get(second.id).message == (
        f"it was to begin after {first.id}, which has ended: failed"
    )
    assert floor.batch.get(third.id).stage is S.CANCELLED


@pytest.mark.parametrize("whose", ["bo", "ana"])
def test_after_is_one_of_ones_own_that_can_still_succeed(floor: Floor, whose: str) -> None:
    other = floor.submit(user=whose)
    floor.batch.cancel(other.id, whose)
    with pytest.raises(NotFound if whose == "bo" else BadInput):
        floor.submit(after=other.id)
    assert not floor.batch.counts()


def test_a_planned_run_is_refused_at_once_for_what_it_would_be_refused_for_at_night(
    floor: Floor, time: MovedClock
) -> None:
    later = time.now + timedelta(hours=2)
    for bad in ({"profile": "9g.90gb"}, {"image": "evil"}, {"group": "theirs"}, {"timeout": 10**9},
                {"retries": 11}, {"cwd": "../x"}, {"parameters": {"unknown": 1}}):
        with pytest.raises(BadInput):
            floor.submit(not_before=later, **bad)
    assert not floor.batch.list()
    assert not list((floor.broker.settings.data / "runs").glob("*"))


def test_a_cancelled_plan_asks_for_nothing(floor: Floor, time: MovedClock) -> None:
    run = floor.submit(not_before=time.now + timedelta(hours=2))
    assert floor.batch.cancel(run.id, "ana").stage is S.CANCELLED
    time.passes(hours=3)
    floor.tick(2)
    assert not floor.engine.starts


# ---- sweeps -------------------------------------------------------------------------------------


def test_a_sweep_is_kept_whole_and_comes_into_the_line_bit_by_bit(floor: Floor) -> None:
    with_line(floor, 2)
    made = sweep(floor, 1, 2, 3, 4)
    assert [x.parameters for x in made.runs] == [{"epochs": i} for i in (1, 2, 3, 4)]
    assert made.counts == {S.PLANNED: 4}
    assert made.names == ("epochs",)
    floor.tick()
    counts = floor.batch.get_sweep(made.id).counts
    assert counts[S.PLANNED] == 2, "two of one person are in the line at once"
    ends(floor, made.runs[0])
    floor.tick()
    assert floor.batch.get_sweep(made.id).counts[S.PLANNED] == 1
    assert floor.stage(made.runs[2]) is not S.PLANNED, "the first of those that are left"


def with_line(floor: Floor, most: int) -> None:
    changed = floor.batch.settings.model_copy(update={"runs_in_line": most, "runs_open": 10})
    floor.batch.settings = floor.batch.mover.settings = changed


def test_a_sweep_has_one_copy_of_its_input(floor: Floor) -> None:
    made = sweep(floor, 1, 2, 3)
    inputs = list((floor.broker.settings.data / "runs").glob("*/input.ipynb"))
    assert [x.parent.name for x in inputs] == [made.id]


@pytest.mark.parametrize("values", [[], [1, 2, 3, 4]])
def test_a_sweep_is_taken_whole_or_not_at_all(floor: Floor, values: list[int]) -> None:
    with pytest.raises(Refusal):
        sweep(floor, *values)  # nobody has more than three runs here
    assert not floor.batch.list()
    assert not list((floor.broker.settings.data / "runs").glob("*"))


def test_cancelling_a_sweep_cancels_what_has_not_ended(floor: Floor) -> None:
    made = sweep(floor, 1, 2, 3)
    ends(floor, made.runs[0])
    floor.tick()
    running = floor.batch.get(made.runs[1].id)
    floor.batch.cancel_sweep(made.id, "ana")
    floor.tick(3)
    found = floor.batch.get_sweep(made.id)
    assert found.counts == {S.SUCCEEDED: 1, S.CANCELLED: 2}
    assert {x.message for x in found.runs[1:]} == {"cancelled by ana"}
    assert running.lease_id not in floor.engine.found
    assert floor.free() == 1


def test_sweeps_are_listed_with_how_far_they_are(floor: Floor) -> None:
    made = sweep(floor, 1, 2, 3)
    ends(floor, made.runs[0])
    (line,) = floor.batch.sweeps(user="ana")
    assert (line.id, sum(line.counts.values()), line.counts[S.SUCCEEDED]) == (made.id, 3, 1)
    assert floor.batch.sweeps(user="bo") == []
    with pytest.raises(NotFound):
        floor.batch.get_sweep("")

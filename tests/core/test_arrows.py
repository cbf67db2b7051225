"""Each stage and each event: where it leads, walked to by events, never built by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.core.lease import (
    ARROWS,
    Asked,
    Ended,
    Event,
    Granted,
    Kind,
    Lease,
    Observed,
    RemoveContainer,
    Request,
    Stage,
    Started,
    State,
    TellOperator,
    Withdrawn,
    check,
    step,
)
from hub.errors import IllegalStep
from tests.core.world import LIMITS, SLICES

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOW = START + timedelta(minutes=1)
KEY, OTHER = SLICES[0].key, SLICES[1].key
DIRTY = tuple(replace(s, processes=(7,)) for s in SLICES)
ILLEGAL = "illegal"


def request(id: str = "r", *, user: str = "kim", **rest: Any) -> Request:
    return Request(id, user, Kind.SERVER, "", "1g.5gb", "image", START, **rest)


PATHS: dict[Stage, tuple[tuple[Event, datetime], ...]] = {
    Stage.WAITING: (),
    Stage.GRANTED: ((Granted("r", KEY), START),),
    Stage.RUNNING: ((Granted("r", KEY), START), (Started("r"), START)),
    Stage.DRAINING: (
        (Granted("r", KEY), START), (Started("r"), START), (Ended("r", "stopped"), START),
    ),
    Stage.QUARANTINED: (
        (Granted("r", KEY), START), (Started("r"), START),
        (Ended("r", "stopped"), START - LIMITS.dirty), (Observed(NOW, DIRTY, {}), NOW),
    ),
    Stage.RELEASED: (
        (Granted("r", KEY), START), (Started("r"), START), (Ended("r", "stopped"), START),
        (Observed(START, SLICES, {}), START),
    ),
    Stage.WITHDRAWN: ((Withdrawn("r"), START),),
}


def at(stage: Stage) -> State:
    """A state in which the lease "r" has come to this stage."""
    state = State(limits=LIMITS)
    for event, now in ((Observed(START, SLICES, {}), START), (Asked(request()), START),
                       *PATHS[stage]):
        state, _ = step(state, event, now)
        check(state)
    assert state.leases["r"].stage is stage
    return state


def after(state: State, event: Event, now: datetime = NOW) -> Stage | str:
    """Where the event leads; the law is checked."""
    try:
        state, _ = step(state, event, now)
    except IllegalStep:
        return ILLEGAL
    check(state)
    return state.leases["r"].stage


S = Stage
CLEAN = Observed(NOW, SLICES, {})
RUNS = Observed(NOW, SLICES, {"r": True})
EXITED = Observed(NOW, SLICES, {"r": False})
BUSY = Observed(NOW, DIRTY, {})
BLIND = Observed(NOW, None, {})
DEAF = Observed(NOW, SLICES, None)
# stage → (asked again, withdrawn, granted, started, ended)
CLAIMS = {
    S.WAITING: (S.WAITING, S.WITHDRAWN, S.GRANTED, ILLEGAL, S.WAITING),
    S.GRANTED: (S.GRANTED, S.DRAINING, ILLEGAL, S.RUNNING, S.DRAINING),
    S.RUNNING: (S.RUNNING, S.DRAINING, ILLEGAL, S.RUNNING, S.DRAINING),
    S.DRAINING: (S.DRAINING, S.DRAINING, ILLEGAL, S.DRAINING, S.DRAINING),
    S.QUARANTINED: (S.QUARANTINED, S.QUARANTINED, ILLEGAL, S.QUARANTINED, S.QUARANTINED),
    S.RELEASED: (S.RELEASED, S.RELEASED, ILLEGAL, ILLEGAL, S.RELEASED),
    S.WITHDRAWN: (S.WITHDRAWN, S.WITHDRAWN, ILLEGAL, ILLEGAL, S.WITHDRAWN),
}
# stage → (clean, runs, exited, busy, no answer of NVML, no answer of Docker)
LOOKS = {
    S.WAITING: (S.WAITING,) * 6,
    S.GRANTED: (S.GRANTED,) * 6,
    S.RUNNING: (S.DRAINING, S.RUNNING, S.DRAINING, S.DRAINING, S.DRAINING, S.RUNNING),
    S.DRAINING: (S.RELEASED, S.DRAINING, S.RELEASED, S.DRAINING, S.DRAINING, S.DRAINING),
    S.QUARANTINED: (
        S.RELEASED, S.QUARANTINED, S.RELEASED, S.QUARANTINED, S.QUARANTINED, S.QUARANTINED,
    ),
    S.RELEASED: (S.RELEASED,) * 6,
    S.WITHDRAWN: (S.WITHDRAWN,) * 6,
}


@pytest.mark.parametrize("stage", Stage)
def test_where_each_claim_leads(stage: Stage) -> None:
    claims = (Asked(request()), Withdrawn("r"), Granted("r", OTHER), Started("r"), Ended("r", "x"))
    assert tuple(after(at(stage), x) for x in claims) == CLAIMS[stage]


@pytest.mark.parametrize("stage", Stage)
def test_where_each_look_leads(stage: Stage) -> None:
    looks = (CLEAN, RUNS, EXITED, BUSY, BLIND, DEAF)
    assert tuple(after(at(stage), x) for x in looks) == LOOKS[stage]


def test_the_table_of_arrows_is_what_events_can_do() -> None:
    assert set(ARROWS) == set(Stage)
    walked: set[tuple[Stage, Stage]] = {(S.DRAINING, S.QUARANTINED), (S.GRANTED, S.DRAINING)}
    for table in (CLAIMS, LOOKS):
        for stage, ends in table.items():
            walked |= {(stage, x) for x in ends if isinstance(x, Stage) and x is not stage}
    assert walked == {(x, y) for x, to in ARROWS.items() for y in to}


@pytest.mark.parametrize("event", [Withdrawn("?"), Ended("?", "x"), Observed(NOW, None, None)])
def test_late_claims_about_nobody_change_nothing(event: Event) -> None:
    state = at(S.RUNNING)
    assert step(state, event, NOW) == (state, ())


def test_a_container_of_an_ended_lease_is_removed_when_it_comes_up() -> None:
    for stage in (S.DRAINING, S.QUARANTINED):
        state, (effect,) = step(at(stage), Started("r"), NOW)
        assert isinstance(effect, RemoveContainer)
        assert effect.id == "r"
    state = State()
    assert step(state, Started("gone"), NOW)[1][0].id == "gone"  # type: ignore[union-attr]


def test_containers_that_no_lease_has_are_removed() -> None:
    _, effects = step(at(S.RUNNING), Observed(NOW, SLICES, {"r": True, "b": True, "a": False}), NOW)
    assert [x.id for x in effects if isinstance(x, RemoveContainer)] == ["a", "b"]


def test_a_lease_that_was_granted_or_started_after_the_look_began_is_not_judged_by_it() -> None:
    before = Observed(START - timedelta(seconds=1), SLICES, {})
    assert after(at(S.RUNNING), before) is S.RUNNING
    assert after(at(S.GRANTED), before) is S.GRANTED


def test_a_start_that_never_happens_ends_the_lease() -> None:
    late = START + LIMITS.start + timedelta(seconds=1)
    assert after(at(S.GRANTED), Observed(late, SLICES, {}), late) is S.DRAINING
    assert after(at(S.GRANTED), Observed(late, SLICES, {"r": False}), late) is S.DRAINING
    assert after(at(S.GRANTED), Observed(late, SLICES, {"r": True}), late) is S.GRANTED
    assert after(at(S.GRANTED), Observed(late, SLICES, None), late) is S.GRANTED


def test_a_create_under_way_when_the_lease_ends_may_still_land() -> None:
    state, _ = step(at(S.GRANTED), Ended("r", "cancelled"), START)
    soon = START + LIMITS.settle - timedelta(seconds=1)
    assert after(state, Observed(soon, SLICES, {}), soon) is S.DRAINING
    # a look that began too early says nothing, however late it is told
    assert after(state, Observed(soon, SLICES, {}), NOW) is S.DRAINING
    settled = START + LIMITS.settle
    assert after(state, Observed(settled, SLICES, {"r": False}), settled) is S.DRAINING
    assert after(state, Observed(settled, SLICES, {}), settled) is S.RELEASED


def test_a_look_from_before_the_start_does_not_release_what_runs_now() -> None:
    """Found by the storm: created, looked at, started, ended; the old look showed "not running"."""
    state = at(S.GRANTED)
    old = Observed(START + timedelta(seconds=1), SLICES, {"r": False})
    state, _ = step(state, Started("r"), START + timedelta(seconds=2))
    state, _ = step(state, Ended("r", "stopped"), START + timedelta(seconds=3))
    assert after(state, old, START + timedelta(seconds=4)) is S.DRAINING


def test_a_slice_that_is_seen_no_more_does_not_hold_its_lease() -> None:
    assert after(at(S.DRAINING), Observed(NOW, SLICES[1:], {})) is S.RELEASED
    state, _ = step(at(S.RUNNING), Observed(NOW, SLICES[1:], {"r": True}), NOW)
    assert state.leases["r"].stage is S.RUNNING
    assert not state.slices[KEY].present
    back, _ = step(state, Observed(NOW, SLICES, {"r": True}), NOW)
    assert back.slices[KEY].present


def test_processes_that_nvml_cannot_name_are_not_none() -> None:
    unknown = tuple(replace(s, processes=None) for s in SLICES)
    assert after(at(S.DRAINING), Observed(NOW, unknown, {})) is S.DRAINING
    state, _ = step(at(S.WAITING), Observed(NOW, unknown, {}), NOW)
    assert state.free() == []


def test_a_slice_that_stays_dirty_is_quarantined_and_the_operator_told_once() -> None:
    state = at(S.DRAINING)
    late = START + LIMITS.dirty + timedelta(seconds=1)
    look = Observed(late, DIRTY, {"r": True})
    state, effects = step(state, look, late)
    assert state.leases["r"].stage is S.QUARANTINED
    assert [type(x) for x in effects] == [RemoveContainer, TellOperator]
    assert "kim" in effects[1].text  # type: ignore[union-attr]
    state, effects = step(state, look, late)
    assert [type(x) for x in effects] == [RemoveContainer]
    assert KEY not in {s.key for s in state.free()}


def test_an_owner_has_one_open_request() -> None:
    state = at(S.RUNNING)
    again, _ = step(state, Asked(request("second")), NOW)
    assert again == state
    other, _ = step(state, Asked(request("second", user="lee")), NOW)
    assert set(other.leases) == {"r", "second"}
    ended, _ = step(state, Ended("r", "stopped"), NOW)
    assert "second" in step(ended, Asked(request("second")), NOW)[0].leases


def test_a_held_slice_cannot_be_given_and_the_error_tells_to_whom() -> None:
    state, _ = step(at(S.DRAINING), Asked(request("second", user="lee")), NOW)
    with pytest.raises(IllegalStep, match="kim"):
        step(state, Granted("second", KEY), NOW)
    with pytest.raises(IllegalStep, match="nobody"):
        step(state, Granted("third", OTHER), NOW)


def test_the_law_finds_what_is_wrong() -> None:
    held, waits = at(S.RUNNING), Lease(request("second", user="lee"))
    twin = replace(waits, stage=S.DRAINING, slice=KEY)
    for wrong in (twin, replace(waits, stage=S.GRANTED), replace(waits, slice=OTHER),
                  Lease(request("second"))):
        with pytest.raises(AssertionError):
            check(replace(held, leases={**held.leases, "second": wrong}))


def test_times_and_causes_are_kept() -> None:
    late = START + timedelta(hours=1)
    state = at(S.WAITING)
    state, _ = step(state, Granted("r", KEY, late), START)
    state, _ = step(state, Started("r"), NOW)
    state, _ = step(state, Ended("r", "stopped"), late)
    state, _ = step(state, Observed(late, SLICES, {}), late + timedelta(seconds=2))
    x = state.leases["r"]
    assert (x.granted_at, x.until, x.started_at, x.draining_at) == (START, late, NOW, late)
    assert (x.ended_at, x.cause) == (late + timedelta(seconds=2), "stopped")

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from hub.core import lease as core
from hub.core import nouns, policy
from hub.core.lease import Ended, Granted, Observed, Stage, State
from hub.errors import IllegalStep
from tests.core.storms import storm
from tests.core.world import LIMITS, World

EFFORT: dict[str, Any] = {
    "deadline": None, "suppress_health_check": list(HealthCheck), "database": None,
}


def test_no_order_of_events_gives_a_slice_twice() -> None:
    run_state_machine_as_test(World, settings=settings(
        max_examples=60, stateful_step_count=50, **EFFORT
    ))


@pytest.mark.parametrize("seed", range(4))
def test_a_storm_gives_no_slice_twice(seed: int) -> None:
    storm(seed, days=250)


# ---- planted faults: each must be found ----------------------------------------------------------


def draining_is_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(nouns, "HOLDING", nouns.HOLDING - {Stage.DRAINING, Stage.QUARANTINED})


def an_end_is_a_release(patch: pytest.MonkeyPatch) -> None:
    def ended(state: State, event: Ended, now: datetime) -> core.Moved:
        after, effects = core._ended(state, event, now)
        lease = after.leases.get(event.id)
        if lease is None or lease.stage is not Stage.DRAINING:
            return after, effects
        return after.having(replace(lease, stage=Stage.RELEASED)), effects

    patch.setattr(core, "_STEPS", {**core._STEPS, Ended: ended})


def unknown_is_gone(patch: pytest.MonkeyPatch) -> None:
    def observed(state: State, event: Observed, now: datetime) -> core.Moved:
        return core._observed(state, replace(event, containers=event.containers or {}), now)

    patch.setattr(core, "_STEPS", {**core._STEPS, Observed: observed})


def no_answer_is_a_clean_slice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(core, "_clean", lambda state, lease, _: (
        state.slices[lease.slice].processes == () if lease.slice in state.slices else True
    ))


def processes_do_not_matter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(core, "_clean", lambda _state, _lease, event: event.slices is not None)


def every_look_is_of_now(patch: pytest.MonkeyPatch) -> None:
    def observed(state: State, event: Observed, now: datetime) -> core.Moved:
        return core._observed(state, replace(event, at=now), now)

    patch.setattr(core, "_STEPS", {**core._STEPS, Observed: observed})


def nothing_needs_to_settle(patch: pytest.MonkeyPatch) -> None:
    def observed(state: State, event: Observed, now: datetime) -> core.Moved:
        hasty = replace(state, limits=replace(LIMITS, settle=timedelta(0)))
        after, effects = core._observed(hasty, event, now)
        return replace(after, limits=LIMITS), effects

    patch.setattr(core, "_STEPS", {**core._STEPS, Observed: observed})


def nothing_is_ever_released(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(core, "_clean", lambda *_: False)


def orphans_may_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(core, "_started", lambda state, _event, _now: (state, ()))
    patch.setattr(core, "_remove_if", lambda *_: ())


def busy_slices_are_given_away(patch: pytest.MonkeyPatch) -> None:
    def grants(state: State, *_: object) -> list[Granted]:
        line = state.waiting()
        return [
            Granted(x.id, k) for x, k in zip(line, state.slices, strict=False)
            if k.profile == x.request.profile
        ]

    patch.setattr(policy, "_grants", grants)


@pytest.mark.parametrize("plant", [
    draining_is_free, an_end_is_a_release, unknown_is_gone, no_answer_is_a_clean_slice,
    processes_do_not_matter, every_look_is_of_now, nothing_needs_to_settle,
    nothing_is_ever_released, orphans_may_stay, busy_slices_are_given_away,
])
def test_a_planted_fault_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, IllegalStep)):
        storm(1, days=3000)

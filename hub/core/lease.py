"""Requests, leases and the only way they move: `step(state, event, now) -> (state, effects)`.

    WAITING ──Granted──► GRANTED ──Started──► RUNNING ──Ended──► DRAINING ──Observed──► RELEASED
       │                    └──────── Ended, never started ─────────▲  │
       └──Withdrawn──► WITHDRAWN                     dirty too long └──► QUARANTINED ──► RELEASED

A lease is a request that has been given a slice, so it keeps the request's id. A slice is free
again only when its container was *seen* to be gone and no process was seen on it; saying "ended"
is a claim, not a proof. What could not be observed is unknown, and unknown moves nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from hub.core import holding
from hub.core.events import (
    Asked,
    Blocked,
    Effect,
    Ended,
    Event,
    Extended,
    Foretold,
    Granted,
    Lifted,
    Limited,
    Moved,
    Noticed,
    Observed,
    RemoveContainer,
    Reported,
    Spared,
    Started,
    StopHolder,
    TellOperator,
    Withdrawn,
)
from hub.core.mig import Slice, SliceKey
from hub.core.nouns import HOLDING, OPEN, Kind, Lease, Limits, Request, Stage, State, Why
from hub.core.share import book, charged_to
from hub.errors import IllegalStep

__all__ = [
    "ARROWS", "HOLDING", "OPEN", "Asked", "Blocked", "Effect", "Ended", "Event", "Extended",
    "Foretold", "Granted", "Kind", "Lease", "Lifted", "Limited", "Limits", "Moved", "Noticed",
    "Observed", "RemoveContainer", "Reported", "Request", "Spared", "Stage", "Started", "State",
    "StopHolder", "TellOperator", "Why", "Withdrawn", "check", "step",
]

ARROWS: Mapping[Stage, frozenset[Stage]] = {
    Stage.WAITING: frozenset({Stage.GRANTED, Stage.WITHDRAWN}),
    Stage.GRANTED: frozenset({Stage.RUNNING, Stage.DRAINING}),
    Stage.RUNNING: frozenset({Stage.DRAINING}),
    Stage.DRAINING: frozenset({Stage.RELEASED, Stage.QUARANTINED}),
    Stage.QUARANTINED: frozenset({Stage.RELEASED}),
    Stage.RELEASED: frozenset(),
    Stage.WITHDRAWN: frozenset(),
}


def step(state: State, event: Event, now: datetime) -> Moved:
    """The state after `event`, and what is to be done about it.

    Raises:
        IllegalStep: for an event that no arrow allows. Late or repeated claims (a stop of a lease
            that has ended, a withdrawal of an unknown id) are not illegal: they change nothing.
    """
    return _STEPS[type(event)](state, event, now)


def check(state: State) -> None:
    """The conservation law; called after every test that moves a lease.

    Raises:
        AssertionError: a slice held twice, a holder without a slice, an owner with two open
            requests, or free + held ≠ all.
    """
    holders = [x for x in state.leases.values() if x.holds]
    keys = [x.slice for x in holders]
    held = set(keys)
    assert None not in held, f"holds nothing: {holders}"
    assert len(held) == len(keys), f"a slice is held twice: {holders}"
    owners = [x.request.owner for x in state.leases.values() if x.stage in OPEN]
    assert len(set(owners)) == len(owners), f"one owner, two open requests: {owners}"
    assert all(x.slice is None for x in state.leases.values() if x.stage is Stage.WAITING)
    kept_back = [
        s for k, s in state.slices.items()
        if k not in held and not s.usable
    ]
    known_held = held & set(state.slices)
    assert len(state.free()) + len(kept_back) + len(known_held) == len(state.slices)


def _move(lease: Lease, stage: Stage, **changes: object) -> Lease:
    if stage not in ARROWS[lease.stage]:
        raise IllegalStep(f"{lease.stage} → {stage} is no arrow: {lease}")
    return replace(lease, stage=stage, **changes)  # type: ignore[arg-type]


def _asked(state: State, event: Asked, _now: datetime) -> Moved:
    if event.request.id in state.leases or state.open_for(*event.request.owner):
        return state, ()
    return state.having(Lease(event.request)), ()


def _withdrawn(state: State, event: Withdrawn, now: datetime) -> Moved:
    lease = state.leases.get(event.id)
    if lease is None:
        return state, ()
    if lease.stage is Stage.WAITING:
        gone = _move(lease, Stage.WITHDRAWN, ended_at=now, cause=event.cause, why=event.why)
        return state.having(gone), ()
    return _ended(state, Ended(event.id, event.cause, event.why), now)


def _granted(state: State, event: Granted, now: datetime) -> Moved:
    lease = state.leases.get(event.id)
    if lease is None:
        raise IllegalStep(f"granted to nobody: {event}")
    holder = state.held().get(event.slice)
    if holder is not None:
        raise IllegalStep(f"{event.slice} is held: {holder}")
    found = state.slices.get(event.slice)
    given = _move(
        lease, Stage.GRANTED, slice=event.slice, granted_at=now, until=event.until,
        promised=event.promised, reservation=event.reservation, rate=found.rate if found else 0.0,
    )
    given = replace(given, charged=charged_to(state.house, given))
    return state.having(given), ()


def _started(state: State, event: Started, now: datetime) -> Moved:
    lease = state.leases.get(event.id)
    if lease is None or lease.stage in (Stage.DRAINING, Stage.QUARANTINED):
        # it came up after its lease was ended (a cancel during the start): nobody may use it
        return state, (RemoveContainer(event.id, "it started after its lease had ended"),)
    if lease.stage is Stage.RUNNING:
        return state, ()
    return state.having(_move(lease, Stage.RUNNING, started_at=now)), ()


def _ended(state: State, event: Ended, now: datetime) -> Moved:
    lease = state.leases.get(event.id)
    if lease is None or not lease.live:
        return state, ()
    state = _drained(state, lease, now, cause=event.cause, why=event.why)
    return state, (StopHolder(event.id, event.why),) if event.why else ()


def _drained(state: State, lease: Lease, now: datetime, *, cause: str, why: Why | None) -> State:
    """The holder is gone: what it used is booked, and its slice comes clean from now on."""
    left = _move(lease, Stage.DRAINING, draining_at=now, cause=cause, why=why, notice=None)
    return replace(state.having(left), house=book(state.house, left))


def _observed(state: State, event: Observed, now: datetime) -> Moved:
    if event.slices is not None:
        state = replace(state, slices=_seen(state.slices, event.slices))
    if event.containers is None:
        return state, ()
    state = _keep_strays_back(state, event)
    holders = [x for x in state.leases.values() if x.slice]
    state = holding.worked(state, holders, event.at)
    effects: list[Effect] = []
    given, state = state, state.draft()
    there, runs, granted, moved = event.containers, Stage.RUNNING, Stage.GRANTED, False
    for lease in [
        state.leases[x.request.id] for x in holders
        # most of them run as they should
        if not ((x.stage is runs or x.stage is granted) and there.get(x.request.id))
    ]:
        if why := _lost(state, lease, event, now):
            state, moved = _drained(state, lease, now, cause=why, why=None), True
            continue
        after, what = _judge(state, lease, event, now)
        effects += what
        if after is not lease:
            state, moved = state.having(after), True
    effects += [
        RemoveContainer(x, "no lease has this id")
        for x in sorted(x for x in there if x not in state.leases)
    ]
    return state.settled(given) if moved else given, tuple(effects)


def _keep_strays_back(state: State, event: Observed) -> State:
    """A slice that a container without a lease is pinned to is in use, whoever made the container.

    Its processes become unknown, so it is not free before a look that finds it without the stray.
    """
    unknown = set(event.containers or ()) - state.leases.keys()
    strays = {event.pins[x] for x in unknown if x in event.pins}
    if not strays:
        return state
    slices = {
        k: replace(s, processes=None) if str(k) in strays and s.processes == () else s
        for k, s in state.slices.items()
    }
    return replace(state, slices=slices)


def _seen(before: Mapping[SliceKey, Slice], now_seen: Iterable[Slice]) -> dict[SliceKey, Slice]:
    """Slices seen now; one that was there and is not seen stays, marked as not present.

    What did not change stays the same object, so that nobody after us compares it again.
    """
    after: dict[SliceKey, Slice] = {}
    for found in now_seen:
        old = before.get(found.key)
        blocked = old.blocked if old else ""
        new = replace(found, blocked=blocked) if blocked else found
        after[found.key] = old if old == new and old is not None else new
    if before.keys() <= after.keys():
        return after
    for key, old in before.items():
        if key not in after:
            after[key] = replace(old, present=False) if old.present else old
    return after


def _lost(state: State, lease: Lease, event: Observed, now: datetime) -> str:
    """Why a live lease is over by what was seen; "" where it goes on."""
    assert event.containers is not None
    runs = event.containers.get(lease.id)
    if lease.stage is Stage.GRANTED and not runs:
        late = now - _at(lease.granted_at) > state.limits.start
        return "its container never started" if late else ""
    if lease.stage is Stage.RUNNING and not runs and _at(lease.started_at) < event.at:
        return "its container exited" if runs is False else "its container is gone"
    return ""


def _judge(
    state: State, lease: Lease, event: Observed, now: datetime
) -> tuple[Lease, tuple[Effect, ...]]:
    if lease.stage in (Stage.DRAINING, Stage.QUARANTINED):
        return _drain(state, lease, event, now)
    return lease, ()


def _drain(
    state: State, lease: Lease, event: Observed, now: datetime
) -> tuple[Lease, tuple[Effect, ...]]:
    assert event.containers is not None
    since = _at(lease.draining_at)
    # a create that was under way when the lease ended may still land: wait before believing "gone"
    settled = event.at >= since + (timedelta(0) if lease.started_at else state.limits.settle)
    there = lease.id in event.containers
    if _waits_to_be_read(lease, event) and now - since <= state.limits.dirty:
        return lease, ()
    # a run is told, and killed where it does not obey, by `batch`: a service that was away may not
    # have told it yet when this is the first that it looks at. In time before a quarantine
    run = lease.request.kind is Kind.RUN
    patience = max(state.limits.stop, state.limits.dirty / 2) if run else state.limits.stop
    if lease.why and event.containers.get(lease.id) and now - since <= patience:
        return lease, ()  # it was told to stop, and saves
    # an exited container cannot touch the slice; one that was created and never started still can
    over = not there or (not event.containers[lease.id] and lease.started_at is not None)
    # also an exit is believed only of a look begun after the end: an older one may show the
    # container created and not yet started
    if settled and over and _clean(state, lease, event):
        return _move(lease, Stage.RELEASED, ended_at=now), _remove_if(there, lease)
    if lease.stage is Stage.DRAINING and now - since > state.limits.dirty:
        what = "its container is still there" if there else "it does not come clean"
        who = f"{lease.request.user}, lease {lease.id}"
        text = f"slice {lease.slice} is quarantined: {what} ({who})"
        return _move(lease, Stage.QUARANTINED), (*_remove_if(there, lease), TellOperator(text))
    return lease, _remove_if(there, lease)


def _waits_to_be_read(lease: Lease, event: Observed) -> bool:
    """Whether it is a run's container that has exited: how it ended stands in it and nowhere else.

    `batch` reads that and removes it; only where it does not is it removed here.
    """
    ran = lease.request.kind is Kind.RUN and lease.started_at is not None
    return ran and (event.containers or {}).get(lease.id) is False


def _remove_if(there: object, lease: Lease) -> tuple[Effect, ...]:
    return (RemoveContainer(lease.id, lease.cause),) if there else ()


def _clean(state: State, lease: Lease, event: Observed) -> bool:
    """Whether the slice was seen, in this look, with no process on it (or is itself gone)."""
    if event.slices is None or lease.slice is None:
        return False
    found = state.slices.get(lease.slice)
    return found is None or not found.present or found.processes == ()


def _at(moment: datetime | None) -> datetime:
    if moment is None:
        raise IllegalStep("a stage without its time")
    return moment


_STEPS: Mapping[type, Callable[..., Moved]] = {
    Asked: _asked,
    Withdrawn: _withdrawn,
    Granted: _granted,
    Started: _started,
    Ended: _ended,
    Observed: _observed,
    Reported: holding.reported,
    Noticed: holding.noticed,
    Spared: holding.spared,
    Extended: holding.extended,
    Limited: holding.limited,
    Lifted: holding.lifted,
    Foretold: holding.foretold,
    Blocked: holding.blocked,
}

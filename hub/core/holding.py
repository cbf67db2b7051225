"""Steps that move no arrow: what is promised, asked back and told while somebody holds or waits.

`lease.step` calls these. A late or repeated claim changes nothing, as there.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from hub.core.events import (
    Blocked,
    Extended,
    Foretold,
    Lifted,
    Limited,
    Moved,
    Noticed,
    Reported,
    Spared,
)
from hub.core.nouns import Kind, Lease, Notice, Stage, State, Why


def worked(state: State, holders: Iterable[Lease], at: datetime) -> State:
    """Of those with a slice: whose shows a process is at work; so is every run."""
    there = {k for k, s in state.slices.items() if s.processes and s.present}
    running, run, enough = Stage.RUNNING, Kind.RUN, at - timedelta(seconds=_ENOUGH)
    busy = [
        replace(x, active_at=at, heard_at=at) for x in holders
        if x.stage is running
        # a look every two seconds need not be written each time
        and (x.active_at is None or x.active_at <= enough)
        and (x.request.kind is run or x.slice in there)
    ]
    return state.having(*busy) if busy else state


def reported(state: State, event: Reported, now: datetime) -> Moved:
    """The server says when it was last at work; the clock of a container is not believed ahead."""
    lease = state.leases.get(event.id)
    if lease is None or not lease.live:
        return state, ()
    at = min(event.active_at, now)
    at = at if lease.active_at is None else max(at, lease.active_at)
    after = replace(lease, active_at=at, heard_at=event.heard_at)
    back = lease.notice is not None and lease.notice.why is Why.IDLE and at > lease.notice.at
    return state.having(replace(after, notice=None) if back else after), ()


def noticed(state: State, event: Noticed, now: datetime) -> Moved:
    """Tell the holder to give back; an earlier notice stands, unless this one ends sooner."""
    lease = state.leases.get(event.id)
    if lease is None or not lease.live:
        return state, ()
    if lease.notice is not None and lease.notice.leave_by <= event.leave_by:
        return state, ()
    return state.having(replace(lease, notice=Notice(event.why, now, event.leave_by))), ()


def spared(state: State, event: Spared, now: datetime) -> Moved:  # noqa: ARG001 - a step
    """Take the notice back."""
    lease = state.leases.get(event.id)
    if lease is None or lease.notice is None:
        return state, ()
    return state.having(replace(lease, notice=None)), ()


def extended(state: State, event: Extended, now: datetime) -> Moved:  # noqa: ARG001 - a step
    """Promise more, never less, and never beyond the latest end. Ends a notice to make room."""
    lease = state.leases.get(event.id)
    if lease is None or not lease.live:
        return state, ()
    promised = event.promised if lease.until is None else min(event.promised, lease.until)
    if lease.promised is not None and promised <= lease.promised:
        return state, ()
    stays = lease.notice is not None and lease.notice.why in (Why.RESERVED, Why.LIMIT)
    notice = lease.notice if stays else None
    return state.having(replace(lease, promised=promised, notice=notice)), ()


def limited(state: State, event: Limited, now: datetime) -> Moved:  # noqa: ARG001 - a step
    """The latest end comes earlier; what was promised beyond it is promised no more."""
    lease = state.leases.get(event.id)
    if lease is None or not lease.live:
        return state, ()
    if lease.until is not None and lease.until <= event.until:
        return state, ()
    promised = lease.promised and min(lease.promised, event.until)
    return state.having(replace(lease, until=event.until, promised=promised)), ()


def lifted(state: State, event: Lifted, now: datetime) -> Moved:  # noqa: ARG001 - a step
    """The latest end comes later; a notice because of the earlier one is taken back."""
    lease = state.leases.get(event.id)
    if lease is None or not lease.live or lease.until is None:
        return state, ()
    told = lease.notice is not None and lease.notice.why is Why.RESERVED
    notice = None if told else lease.notice
    return state.having(replace(lease, until=event.until, notice=notice)), ()


def foretold(state: State, event: Foretold, now: datetime) -> Moved:  # noqa: ARG001 - a step
    """Keep what the asker was told at first, so that it can be held against what came."""
    lease = state.leases.get(event.id)
    if lease is None or lease.stage is not Stage.WAITING or lease.eta is not None:
        return state, ()
    return state.having(replace(lease, eta=(event.earliest, event.latest))), ()


def blocked(state: State, event: Blocked, now: datetime) -> Moved:  # noqa: ARG001 - a step
    """Take a slice out of use, or put it back."""
    found = state.slices.get(event.slice)
    if found is None or found.blocked == event.why:
        return state, ()
    return replace(
        state, slices={**state.slices, event.slice: replace(found, blocked=event.why)}
    ), ()


def says_nothing_new(lease: Lease, active_at: datetime, now: datetime) -> bool:
    """Whether a report needs no writing: the same as a moment ago, or nothing is held."""
    if not lease.live or lease.heard_at is None or lease.active_at is None:
        return not lease.live
    later = (active_at - lease.active_at).total_seconds()
    fresh = (now - lease.heard_at).total_seconds() < _ENOUGH
    return fresh and later < _ENOUGH and lease.notice is None


_ENOUGH = 30.0  # seconds between two written signs of work

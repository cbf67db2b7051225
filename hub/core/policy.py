"""Who is next: first come, first served within a profile."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hub.core.lease import Granted, Lease, Stage, State
from hub.core.mig import MODELS, Slice
from hub.errors import BadInput, Unavailable


@dataclass(frozen=True)
class Offer:
    """One size that can be asked for, as the form shows it."""

    profile: str
    gpu_name: str
    compute: int
    memory: int
    memory_mib: int
    total: int
    free: int
    waiting: int


@dataclass(frozen=True)
class Place:
    """Where somebody stands in the line. `position` counts from 1; `total` slices of that size."""

    id: str
    position: int
    profile: str
    total: int
    held: int
    first_holder_since: datetime | None


def grants(state: State, now: datetime) -> tuple[Granted, ...]:  # noqa: ARG001 - see below
    """Which waiting requests get which slices now: the oldest request of each profile first.

    `now` is unused by first come, first served; every policy has it, so that callers do not change.
    """
    free: dict[str, deque[Slice]] = {}
    for found in state.free():
        free.setdefault(found.key.profile, deque()).append(found)
    given = []
    for lease in state.waiting():
        here = free.get(lease.request.profile)
        if here:
            given.append(Granted(lease.id, here.popleft().key))
    return tuple(given)


def place(state: State, id: str) -> Place | None:
    """The place in the line of a waiting request; None where it does not wait."""
    lease = state.leases.get(id)
    if lease is None or lease.stage is not Stage.WAITING:
        return None
    profile = lease.request.profile
    ahead = [x.id for x in state.waiting() if x.request.profile == profile]
    holders = _holders(state, profile)
    return Place(
        id=id,
        position=ahead.index(id) + 1,
        profile=profile,
        total=sum(k.profile == profile and s.present for k, s in state.slices.items()),
        held=len(holders),
        first_holder_since=min((x.granted_at for x in holders if x.granted_at), default=None),
    )


def offers(state: State) -> tuple[Offer, ...]:
    """Each size that the cards have, smallest first, with what is free and how many wait for it."""
    free = Counter(s.key.profile for s in state.free())
    waiting = Counter(x.request.profile for x in state.waiting())
    present = [s for s in state.slices.values() if s.present]
    total = Counter(s.key.profile for s in present)
    last_first = sorted(present, key=lambda s: s.key, reverse=True)
    first: Mapping[str, Slice] = {s.key.profile: s for s in last_first}
    return tuple(
        Offer(p, s.gpu_name, s.compute, s.memory, s.memory_mib, total[p], free[p], waiting[p])
        for p, s in sorted(first.items(), key=lambda x: (x[1].memory_mib, x[1].compute, x[0]))
    )


def check_profile(state: State, profile: str) -> None:
    """Refuse a size that no card here is cut into.

    Raises:
        BadInput: unknown, or not to be had here; names the sizes here.
        Unavailable: no card has been seen yet.
    """
    here = [o.profile for o in offers(state)]
    if profile in here:
        return
    if not here:
        raise Unavailable(
            "No GPU has been seen yet. Try again in a few seconds; if it stays so, tell the "
            "operator (`madang doctor`).", reason="no-gpu",
        )
    known = any(p.name == profile for m in MODELS.values() for p in m.profiles)
    raise BadInput(
        "No GPU here is cut into {profile}. Sizes here: {here}." if known
        else "There is no profile {profile}. Sizes here: {here}.",
        reason="unknown-profile", profile=profile, here=", ".join(here),
    )


def _holders(state: State, profile: str) -> list[Lease]:
    return [x for x in state.held().values() if x.slice is not None and x.slice.profile == profile]

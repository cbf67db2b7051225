"""The sizes that can be had here, and which of several equal slices to give first."""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass

from hub.core.mig import MODELS, SLOTS, Slice
from hub.core.nouns import State
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


def known(profile: str) -> bool:
    """Whether some card could be cut into this size."""
    return any(p.name == profile for m in MODELS.values() for p in m.profiles)


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
    raise BadInput(
        "No GPU here is cut into {profile}. Sizes here: {here}." if known(profile)
        else "There is no profile {profile}. Sizes here: {here}.",
        reason="unknown-profile", profile=profile, here=", ".join(here),
    )


def best_first(state: State, profiles: Container[str]) -> dict[str, list[Slice]]:
    """Free slices of these profiles, by profile, the one to give next at the end.

    Best fit: of equal slices the one on the fullest card. Whole cards stay in one piece, so that
    they can be cut anew, serviced, or given as a whole.
    """
    held = state.held()
    free: dict[str, list[Slice]] = {}
    for key, one in state.slices.items():
        if key not in held and key.profile in profiles and one.usable:
            free.setdefault(key.profile, []).append(one)
    if not free:
        return free
    taken = Counter({(s.key.node, s.key.gpu): 0 for here in free.values() for s in here})
    gpus = {gpu for _, gpu in taken}
    for key in held:
        node, gpu, _, _ = key
        if gpu in gpus and (node, gpu) in taken:
            found = state.slices.get(key)
            taken[node, gpu] += found.memory if found else 0
    for here in free.values():
        here.sort(key=lambda s: (-taken[s.key.node, s.key.gpu], s.key), reverse=True)
    return free


def fragmentation(state: State) -> float:
    """The share of the free memory slots that nobody who waits or holds now has a use for, 0 to 1.

    The mix is what is asked for now: those who wait, else those who hold. (Fragmentation Gradient
    Descent, ATC'23, measures the same: free capacity that the current mix cannot use.)
    """
    free = state.free()
    mix = {x.request.profile for x in state.waiting()} or {k.profile for k in state.held()}
    total = sum(s.memory for s in free)
    if not total or not mix:
        return 0.0
    return sum(s.memory for s in free if s.key.profile not in mix) / total


def cards(state: State) -> float:
    """How many whole cards the present slices make up, by memory."""
    return sum(s.memory for s in state.slices.values() if s.present) / SLOTS

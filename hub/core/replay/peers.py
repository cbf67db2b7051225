"""What others do, on the same jobs: nobody is asked back, whoever holds keeps until it closes.

First come, first served: one line for each size. Static split: each group owns slices by its
weight, and its members use these only; where it has none of a size, they take the next larger, else
its largest. Priority: servers before runs, runs fill what is left over
(sizes do not block one another, so a small one never waits behind a large one).
"""

from bisect import insort
from collections.abc import Callable, Mapping, Sequence

from hub.core.mig import Slice, SliceKey
from hub.core.nouns import Kind
from hub.core.replay.jobs import fit
from hub.core.replay.play import CLEAN, Ask, Given, Turned

Key = tuple[float | bool | str, ...]
Place = tuple[str, str]  # (profile, the group that owns it; "" for everybody)


def first_come(ask: Ask) -> Key:
    """The oldest first."""
    return (ask.since, ask.id)


def servers_first(ask: Ask) -> Key:
    """Servers before runs, and of each the oldest first."""
    return (ask.job.kind is Kind.RUN, ask.since, ask.id)


class Peer:
    """See `play.Policy`. `order`: who goes first. `owners`: which group's members may have a slice;
    None is everybody.
    """  # noqa: D205 - one sentence each

    def __init__(
        self, slices: Sequence[Slice], order: Callable[[Ask], Key] = first_come,
        owners: Mapping[SliceKey, str] | None = None,
    ) -> None:
        self._order = order
        self._owners = owners
        self._free: dict[Place, list[Slice]] = {}
        self._line: dict[Place, list[tuple[Key, Ask]]] = {}
        self._fits: dict[tuple[str, str], str] = {}
        self._slices = slices
        self._held: dict[str, Slice] = {}
        self._rinsing: list[tuple[float, Slice]] = []
        for one in sorted(slices, key=lambda s: s.key, reverse=True):
            self._free.setdefault(self._place_of(one), []).append(one)

    def ask(self, ask: Ask, at: float) -> None:  # noqa: ARG002 - a policy's verb
        """See `Policy`. Nobody is told anything."""
        insort(self._line.setdefault(self._place_for(ask), []), (self._order(ask), ask), key=_key)

    def leave(self, ask: Ask, at: float) -> None:  # noqa: ARG002 - same
        """See `Policy`."""
        self._line[self._place_for(ask)].remove((self._order(ask), ask))

    def rests(self, ask: Ask, at: float) -> None:
        """See `Policy`. Nobody looks."""

    def close(self, ask: Ask, at: float) -> None:
        """See `Policy`."""
        self._rinsing.append((at + CLEAN, self._held.pop(ask.id)))

    def turn(self, at: float) -> Turned:
        """See `Policy`."""
        for _, one in [x for x in self._rinsing if x[0] <= at]:
            self._free.setdefault(self._place_of(one), []).append(one)
        self._rinsing = [x for x in self._rinsing if x[0] > at]
        given: list[Given] = []
        for place, line in self._line.items():
            free = self._free.get(place, [])
            while free and line:
                _, ask = line.pop(0)
                self._held[ask.id] = free.pop()
                given.append(Given(ask.id, self._held[ask.id].rate))
        return Turned(given)

    def due(self, at: float) -> float | None:
        """See `Policy`."""
        return min((x for x, _ in self._rinsing if x > at), default=None)

    def _place_of(self, one: Slice) -> Place:
        return (one.key.profile, self._owners[one.key] if self._owners else "")

    def _place_for(self, ask: Ask) -> Place:
        profile, group = ask.job.profile, ask.job.group
        if self._owners is None:
            return (profile, "")
        if (group, profile) not in self._fits:
            own = [s for s in self._slices if self._owners[s.key] == group]
            self._fits[group, profile] = fit(profile, own) if own else profile
        return (self._fits[group, profile], group)


def _key(entry: tuple[Key, Ask]) -> Key:
    return entry[0]


def split(slices: Sequence[Slice], weights: Mapping[str, float]) -> dict[SliceKey, str]:
    """Slice → the group that owns it: the largest first, each to whoever lacks most by weight."""
    has = dict.fromkeys(sorted(weights), 0.0)
    found: dict[SliceKey, str] = {}
    sizes: dict[str, dict[str, int]] = {}
    for one in sorted(slices, key=lambda s: (-s.rate, s.key)):
        of_size = sizes.setdefault(one.key.profile, dict.fromkeys(has, 0))
        # of equals, whoever has none of this size yet
        group = min(has, key=lambda g: ((has[g] + one.rate) / weights[g], of_size[g], g))
        has[group] += one.rate
        of_size[group] += 1
        found[one.key] = group
    return found

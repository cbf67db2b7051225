"""One pass over all leases, sorted by what a turn asks of them."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from hub.core.mig import SliceKey
from hub.core.nouns import Lease, Stage, State


class Survey:
    """Who waits, who holds, and what comes free, by profile.

    `waiting`: oldest first. `held`: those that may be at work on a slice. `coming`: slices whose
    holder has gone; `out`: those that are quarantined.
    """

    def __init__(self, state: State) -> None:
        self.waiting: dict[str, list[Lease]] = {}
        self.held: dict[str, list[Lease]] = {}
        self.coming: Counter[str] = Counter()
        self.out: set[SliceKey] = set()
        self._sort(state.leases.values())

    @property
    def live(self) -> list[Lease]:
        """All of `held`, in no order."""
        return [x for here in self.held.values() for x in here]

    def moved(self, state: State, ids: Collection[str]) -> None:
        """Some leases have moved: sort these anew."""
        if not ids:
            return
        self.waiting, self.held = _without(self.waiting, ids), _without(self.held, ids)
        self._sort(state.leases[x] for x in ids if x in state.leases)

    def _sort(self, leases: Iterable[Lease]) -> None:
        waiting, running, granted = Stage.WAITING, Stage.RUNNING, Stage.GRANTED
        came: dict[str, list[Lease]] = {}
        for lease in leases:
            stage = lease.stage
            if stage is waiting:
                came.setdefault(lease.request.profile, []).append(lease)
            elif lease.slice is None:
                continue
            elif stage is running or stage is granted:
                self.held.setdefault(lease.slice.profile, []).append(lease)
            elif stage is Stage.DRAINING:
                self.coming[lease.slice.profile] += 1
            elif stage is Stage.QUARANTINED:
                self.out.add(lease.slice)
        for profile, line in came.items():
            here = self.waiting[profile] = self.waiting.get(profile, []) + line
            here.sort(key=lambda x: (x.request.asked_at, x.request.id))


def _without(lines: Mapping[str, list[Lease]], ids: Collection[str]) -> dict[str, list[Lease]]:
    left = {k: [x for x in line if x.request.id not in ids] for k, line in lines.items()}
    return {k: line for k, line in left.items() if line}

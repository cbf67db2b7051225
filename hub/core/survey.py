"""One pass over all leases, sorted by what a turn asks of them."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from itertools import chain

from hub.core.mig import SliceKey
from hub.core.nouns import Lease, Stage, State


class Survey:
    """Who waits, who holds, and what comes free, by profile.

    `waiting`: in no order. `held`: those that may be at work on a slice. `coming`: slices whose
    holder has gone; `out`: those that are quarantined.
    """

    def __init__(self, state: State) -> None:
        self.waiting: dict[str, list[Lease]] = {}
        self.held: dict[str, list[Lease]] = {}
        self.coming: Counter[str] = Counter()
        self.out: set[SliceKey] = set()
        leases = state.leases.values()
        # twice over all is less than a choice for each: in a long line most of them wait
        self._sort([x for x in leases if x.slice is None], [x for x in leases if x.slice])

    @property
    def live(self) -> Iterable[Lease]:
        """All of `held`, in no order."""
        return chain(*self.held.values())

    def moved(self, state: State, ids: Collection[str]) -> None:
        """Some leases have moved: sort these anew."""
        if not ids:
            return
        found = [state.leases[x] for x in ids if x in state.leases]
        sizes = {x.request.profile for x in found} | {x.slice.profile for x in found if x.slice}
        for lines in (self.waiting, self.held):
            for size in sizes & lines.keys():
                left = [x for x in lines[size] if x.request.id not in ids]
                if left:
                    lines[size] = left
                else:
                    del lines[size]
        self._sort([x for x in found if x.slice is None], [x for x in found if x.slice])

    def _sort(self, without: Iterable[Lease], with_slice: Iterable[Lease]) -> None:
        waiting, running, granted = Stage.WAITING, Stage.RUNNING, Stage.GRANTED
        came: dict[str, list[Lease]] = defaultdict(list)
        for lease in without:
            if lease.stage is waiting:
                came[lease.request.profile].append(lease)
        for profile, line in came.items():
            self.waiting[profile] = self.waiting.get(profile, []) + line
        for lease in with_slice:
            stage, key = lease.stage, lease.slice
            assert key is not None
            if stage is running or stage is granted:
                self.held.setdefault(key.profile, []).append(lease)
            elif stage is Stage.DRAINING:
                self.coming[key.profile] += 1
            elif stage is Stage.QUARANTINED:
                self.out.add(key)

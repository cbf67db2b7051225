"""One pass over all leases, sorted by what a turn asks of them."""

from collections import Counter

from hub.core.nouns import Lease, Stage, State


class Survey:
    """Who waits, who holds, and what comes free, by profile.

    `waiting`: oldest first. `held`: those that may be at work on a slice. `coming`: slices whose
    holder has gone. `live`: all of `held`, in no order.
    """

    def __init__(self, state: State) -> None:
        self.waiting: dict[str, list[Lease]] = {}
        self.held: dict[str, list[Lease]] = {}
        self.coming: Counter[str] = Counter()
        self.live: list[Lease] = []
        for lease in state.leases.values():
            stage = lease.stage
            if stage is Stage.WAITING:
                self.waiting.setdefault(lease.request.profile, []).append(lease)
            elif lease.slice is None:
                continue
            elif stage is Stage.RUNNING or stage is Stage.GRANTED:
                self.live.append(lease)
                self.held.setdefault(lease.slice.profile, []).append(lease)
            elif stage is Stage.DRAINING:
                self.coming[lease.slice.profile] += 1
        for line in self.waiting.values():
            line.sort(key=lambda x: (x.request.asked_at, x.request.id))

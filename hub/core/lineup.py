"""Who waits in a scenario, in the order of `order.order`; it is asked thousands of times."""

import heapq
from collections import deque

from hub.core.nouns import Kind
from hub.core.scene import Scene, Waiter

_HOUR = 3600.0
_GRAIN = 4  # as in `order`
Entry = tuple[int, float, int, Waiter]


class Lineup:
    """Who waits, in the order of `order.order`: own hours and old age, then servers, then runs."""

    def __init__(self, scene: Scene) -> None:
        self.strong = 0  # those for whose sake holders are asked to give back
        self.waits: dict[int, bool] = {}  # number of who waits → whether it counts as strong
        self._rate = scene.rate
        self._entry = scene.spans.entry / _HOUR
        self._use = dict(scene.use)
        self._own = dict(scene.own)
        self._drift = dict(scene.drift)
        self._gain = scene.gain
        self._count = 0
        self._first: deque[Entry] = deque()
        self._people: dict[Kind, dict[str, list[Entry]]] = {Kind.SERVER: {}, Kind.RUN: {}}

    def add(self, waiter: Waiter) -> Entry:
        """Somebody comes."""
        self._count += 1
        server = waiter.kind is Kind.SERVER
        self.waits[self._count] = server
        self.strong += server
        own = round(self._own.get((waiter.group, waiter.user), 0.0) * _GRAIN)
        entry = (own, waiter.asked, self._count, waiter)
        heapq.heappush(self._people[waiter.kind].setdefault(waiter.group, []), entry)
        return entry

    def hurry(self, entry: Entry, _at: float) -> None:
        """If it still waits, it goes before everybody's share from now on."""
        number = entry[2]
        if number in self.waits:
            self._first.append(entry)
            self.strong += not self.waits[number]
            self.waits[number] = True

    def pop(self, at: float) -> Waiter | None:
        """Who is next; None where nobody waits."""
        while self._first:
            entry = self._first.popleft()
            if entry[2] in self.waits:
                return self._taken(entry)
        for groups in self._people.values():
            found = [
                (round(self._used(group, at) * _GRAIN), here[0][1], here[0][2], here)
                for group, here in groups.items() if self._has(here)
            ]
            if found:
                return self._taken(heapq.heappop(min(found)[3]))
        return None

    def _has(self, here: list[Entry]) -> bool:
        while here and here[0][2] not in self.waits:
            heapq.heappop(here)  # it went with those who go first
        return bool(here)

    def _taken(self, entry: Entry) -> Waiter:
        self.strong -= self.waits.pop(entry[2])
        return entry[3]

    def _used(self, group: str, at: float) -> float:
        return self._use.get(group, 0.0) + self._drift.get(group, 0.0) * at / _HOUR

    def over(self, who: Waiter, at: float) -> tuple[float, float]:
        """See `Standing.over`."""
        return self._used(who.group, at), self._own.get((who.group, who.user), 0.0)

    def begins(self, who: Waiter, at: float) -> None:
        """A hold begins: the entry is charged, and from now on its use grows."""
        gain, key = self._gain.get(who.group, self._rate), (who.group, who.user)
        self._own[key] = self._own.get(key, 0.0) + self._rate * self._entry
        self._drift[who.group] = self._drift.get(who.group, 0.0) + gain
        self._use[who.group] = self._use.get(who.group, 0.0) + gain * (self._entry - at / _HOUR)

    def ends(self, group: str, at: float) -> None:
        """A hold ends."""
        gain = self._gain.get(group, self._rate)
        self._drift[group] = self._drift.get(group, 0.0) - gain
        self._use[group] = self._use.get(group, 0.0) + gain * at / _HOUR

"""Reservations whose time zone this machine does not know any more: the operator is told, once."""

import logging

from hub import metrics
from hub.core.hours import readable
from hub.core.rules import House

log = logging.getLogger("madang.lostzones")


class LostZones:
    """Looks at each tick; says nothing twice."""

    def __init__(self) -> None:
        self._told: frozenset[str] = frozenset()

    def look(self, house: House) -> None:
        """Tell of those that were not told of."""
        lost = {x.id: x for x in house.reservations.values() if not readable(x)}
        for id in lost.keys() - self._told:
            metrics.TOLD.inc()
            log.error(
                "nothing is kept for reservation %s of group %r: this machine does not know its "
                "time zone %r any more. Install the package tzdata, or make it anew in another "
                "zone (madang reserve remove %s).", id, lost[id].group, lost[id].zone, id,
            )
        self._told = frozenset(lost)

"""What the gauges show, out of the state: slices, the line, shares against use."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import product

from hub.core import groups
from hub.core.lease import State
from hub.core.room import Rooms
from hub.core.roster import Member
from hub.core.runs import RunStage
from hub.core.sizes import fragmentation
from hub.face.views_line import slice_state
from hub.gauges import LEASE_STAGES, RUN_OPEN, SLICE_STATES, Facts


def facts_of(
    state: State, runs: Mapping[RunStage, int], members: Iterable[Member], now: datetime
) -> Facts:
    """The facts at `now`; `runs` counts those that have not ended. What is not there is 0.

    Groups are those of the roster and those with settings.
    """
    known = groups.facts(state, members, now)
    rooms = Rooms(state, now)
    profiles = {k.profile for k in state.slices} | {x.request.profile for x in state.waiting()}
    first = {x.request.profile: x.request.asked_at for x in reversed(state.waiting())}
    return Facts(
        slices=_slices(state, rooms),
        reserved={x: rooms.reserved(x)[0] for x in profiles},
        fragmentation=fragmentation(state),
        line=_counted((x.request.profile for x in state.waiting()), profiles),
        oldest={x: (now - first.get(x, now)).total_seconds() for x in profiles},
        leases=_counted((str(x.stage) for x in state.leases.values()), LEASE_STAGES),
        runs={**dict.fromkeys(RUN_OPEN, 0), **{str(k): x for k, x in runs.items()}},
        share={x.group.name: x.share for x in known},
        use={x.group.name: x.use for x in known},
        week={x.group.name: x.week_used for x in known},
        quota={x.group.name: x.group.quota for x in known if x.group.quota is not None},
    )


def _slices(state: State, rooms: Rooms) -> Mapping[tuple[str, str], float]:
    """By (state, profile). Which of the free ones are reserved is open; how many is not."""
    held = state.held()
    profiles = {k.profile for k in state.slices}
    counted = Counter((slice_state(s, held.get(k)), k.profile) for k, s in state.slices.items())
    for profile in profiles:
        kept = min(rooms.reserved(profile)[1], counted["free", profile])
        counted["free", profile] -= kept
        counted["reserved", profile] += kept
    return {**dict.fromkeys(product(SLICE_STATES, profiles), 0), **counted}


def _counted(found: Iterable[str], known: Iterable[str]) -> Mapping[str, int]:
    return {**dict.fromkeys(known, 0), **Counter(found)}

"""One trace under several policies: this house's, as it is and as it might be, and the peers'."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hub.core.mig import Slice
from hub.core.replay import jobs as made
from hub.core.replay.jobs import HOUR, Trace
from hub.core.replay.ours import BEGIN, Ours
from hub.core.replay.peers import Peer, first_come, servers_first, split
from hub.core.replay.play import Policy, play
from hub.core.replay.scores import Score, score
from hub.core.rules import Group, House
from hub.core.share import group_of
from hub.errors import Text

OURS, FIRST, STATIC, PRIORITY = "madang", "first come", "static split", "priority"


@dataclass(frozen=True)
class Lab:
    """What a trace is played on. `name`: what is shown; `begin`: the moment that is second 0."""

    name: str
    slices: tuple[Slice, ...]
    house: House
    begin: datetime = BEGIN


Told = Callable[[str, float], None]


def contest(
    trace: Trace, lab: Lab, others: Sequence[Lab] = (), *, told: Told = lambda _n, _p: None
) -> Iterator[Score]:
    """Scores: this house's policy, the peers' on the same slices, and ours in the `others`.

    `told` is called with a policy's name and the part (0 to 1) of its replay that is done.
    """
    yield _score(lab.name, trace, lab, Ours(lab.slices, lab.house, begin=lab.begin), told)
    weights = weights_of(trace, lab.house)
    for name, policy in (
        (FIRST, Peer(lab.slices, first_come)),
        (STATIC, Peer(lab.slices, first_come, split(lab.slices, weights))),
        (PRIORITY, Peer(lab.slices, servers_first)),
    ):
        yield _score(name, trace, lab, policy, told)
    for other in others:
        fitted, _ = made.fitted(trace.jobs, other.slices)
        ours = Ours(other.slices, other.house, begin=other.begin)
        yield _score(other.name, replace(trace, jobs=fitted), other, ours, told)


def prepared(trace: Trace, lab: Lab) -> Trace:
    """The trace on a lab's slices: sizes that are not there become the next larger ones."""
    jobs, moved = made.fitted(trace.jobs, lab.slices)
    more = (Text(
        "{count} asks for a size that is not there take the next larger, or the largest.",
        count=moved,
    ),) if moved else ()
    return replace(trace, jobs=jobs, said=(*trace.said, *more))


def weights_of(trace: Trace, house: House) -> dict[str, float]:
    """Group → weight, of the groups that ask for something."""
    return {x: group_of(house, x).weight for x in sorted({j.group for j in trace.jobs})}


def house_of(house: House, weights: Mapping[str, float]) -> House:
    """The house with these weights."""
    groups = {
        name: replace(house.groups.get(name, Group(name)), weight=weight)
        for name, weight in weights.items()
    }
    return replace(house, groups={**house.groups, **groups})


def _score(name: str, trace: Trace, lab: Lab, policy: Policy, told: Told) -> Score:
    last = max((x.asked_at for x in trace.jobs), default=0.0) or 1.0
    holds = play(trace.jobs, policy, told=lambda at: told(name, min(1.0, at / last)))
    told(name, 1.0)
    hours = made.capacity(lab.slices) * trace.length / HOUR
    return score(
        name, trace, holds, made.rates(lab.slices), weights_of(trace, lab.house), hours
    )


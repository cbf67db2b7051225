"""The history of one's own store as a trace: what people asked for, and how long they worked."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from hub.core.nouns import Kind, Lease, Stage
from hub.core.replay.jobs import DAY, HOUR, Job, Trace
from hub.errors import BadInput, Text

_SHORTEST = 1.0
_SAID = (
    Text(
        "Who was asked back in truth might have worked on; what they asked for later stands in the "
        "history itself."
    ),
    Text(
        "Work ends with the last sign of it; where a server never said so, its whole hold counts."
    ),
    Text(
        "Who gave up in truth gives up after the same time here; nobody else does within a day "
        "(runs: 7 days)."
    ),
    Text("The books begin empty: what was used before the first day is not known."),
)


def trace_of(leases: Iterable[Lease], begin: datetime, end: datetime) -> Trace:
    """Jobs out of leases and requests that were asked for in [begin, end).

    Raises:
        BadInput: reason "trace": there are none, or nobody ever held a slice.
    """
    here = [x for x in leases if begin <= x.request.asked_at < end]
    worked = {x.id: _work(x, end) for x in here if x.granted_at is not None}
    if not worked:
        raise BadInput(
            "Nobody has held a slice in this time. Name more --days, or a trace file.",
            reason="trace",
        )
    typical = _typical(here, worked)
    together: dict[tuple[str, Kind, str], list[Lease]] = {}
    for lease in sorted(here, key=lambda x: (x.request.asked_at, x.id)):
        # a run that gave way asks again under its own name: one job. A server's next start is new
        name = lease.request.name if lease.request.kind is Kind.RUN else lease.id
        together.setdefault((lease.request.user, lease.request.kind, name), []).append(lease)
    jobs = [_job(x, worked, typical, begin) for x in together.values()]
    guessed = sum(all(x.id not in worked for x in here) for here in together.values())
    said = (*_SAID, Text(
        "{count} gave up before they had a slice: the median work of their size is taken.",
        count=guessed,
    )) if guessed else _SAID
    return Trace(
        "store", tuple(sorted(jobs, key=lambda x: (x.asked_at, x.id))),
        max(DAY, (end - begin).total_seconds()), said,
    )


def _work(lease: Lease, end: datetime) -> tuple[float, float]:
    """(seconds of work, seconds idle after it) of a lease that held a slice."""
    assert lease.granted_at is not None
    over = lease.draining_at or end
    held = max(_SHORTEST, (over - lease.granted_at).total_seconds())
    if lease.request.kind is Kind.RUN or lease.heard_at is None or lease.active_at is None:
        return held, 0.0
    work = min(held, max(_SHORTEST, (lease.active_at - lease.granted_at).total_seconds()))
    return work, held - work


def _typical(
    leases: Iterable[Lease], worked: dict[str, tuple[float, float]]
) -> dict[tuple[str, Kind], float]:
    """(profile, kind) → median work."""
    by: dict[tuple[str, Kind], list[float]] = {}
    for lease in leases:
        if lease.id in worked:
            by.setdefault((lease.request.profile, lease.request.kind), []).append(
                worked[lease.id][0])
    return {k: sorted(x)[len(x) // 2] for k, x in by.items()}


def _job(
    leases: list[Lease], worked: dict[str, tuple[float, float]],
    typical: dict[tuple[str, Kind], float], begin: datetime,
) -> Job:
    first, last = leases[0].request, leases[-1]
    spent = [worked[x.id] for x in leases if x.id in worked]
    work = sum(x for x, _ in spent) if spent else typical.get((first.profile, first.kind), HOUR)
    gave_up = last.stage is Stage.WITHDRAWN and last.granted_at is None and last.ended_at
    patience = DAY if first.kind is Kind.SERVER else 7 * DAY
    if gave_up:
        patience = max(_SHORTEST, (gave_up - last.request.asked_at).total_seconds())
    return Job(
        first.id, first.user, first.group, first.kind, first.profile,
        math.floor((first.asked_at - begin) / timedelta(seconds=1)), math.ceil(work),
        math.ceil(spent[-1][1]) if spent else 0.0, math.ceil(patience),
    )

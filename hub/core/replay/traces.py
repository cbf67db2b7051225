"""Traces of other people's clusters, turned into jobs of a lab.

Known by their first line: `openb_pod_list…csv` (Alibaba's pods that share GPUs: when they came, how
long they lived, whether somebody waited for them) and `philly_runtime.csv` (Microsoft's run times).
Neither knows of students, so who asks for which size, who forgets to close and who gives up are
made up from the seed, and `Trace.said` says so.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count

from hub.core.mig import Slice
from hub.core.nouns import Kind
from hub.core.replay.jobs import DAY, HOUR, Job, Trace, at_least, capacity, drawn, rates
from hub.errors import BadInput, Text

GREEDY = "greedy"
MOST_DAYS = 366
_OPENB = ("name", "num_gpu", "qos", "creation_time", "deletion_time", "scheduled_time")
_LONGEST = 12 * HOUR
_SHORTEST = 60.0
_MIX = ((1, 6), (2, 3), (3, 1))  # compute slices: how many of ten ask for them
_ZIPF = 0.8  # the n-th busiest person asks n^-0.8 times as often as the busiest
_RUN_SHARE = 0.4  # of Philly's run times; openb says it itself
_HALVES = (
    Text("Sizes are made up: 1g, 2g and 3g as 6:3:1."),
    Text(
        "People are made up: the n-th busiest asks n^-0.8 times as often as the busiest, and "
        "`greedy` asks first thing every morning, works ten hours and never closes."
    ),
    Text(
        "What happens after the work is made up: six sessions in ten are closed at once, a quarter "
        "stay open for up to an hour, the others for four to ten hours."
    ),
    Text("Patience is made up: a server is given up after 2 to 12 hours, a run after 7 days."),
)
# servers asked for in each hour of the day, for a trace that has no times
_HOURS = (2, 1, 1, 1, 1, 1, 2, 3, 5, 8, 10, 10, 7, 9, 10, 10, 9, 8, 6, 6, 7, 7, 5, 3)
_WEEKEND = 0.4


@dataclass(frozen=True)
class Plan:
    """The lab that a trace is fitted to.

    `load`: 1 asks for all slice-hours there are, held as people hold them (work and tail).
    `weights`: group → weight; people are dealt out to the groups in turn.
    """

    people: int = 30
    weights: Mapping[str, float] = field(default_factory=lambda: {"a": 1.0, "b": 1.0, "c": 1.0})
    days: int = 14
    load: float = 1.0
    seed: int = 1


@dataclass(frozen=True)
class _Seed:
    """One row of a trace, before it is somebody's job; None is what the trace does not know."""

    id: str
    work: float
    kind: Kind | None = None
    asked_at: float | None = None


def trace_of(text: str, slices: Sequence[Slice], plan: Plan) -> Trace:
    """The jobs of a trace's text for a lab with these slices.

    Raises:
        BadInput: reason "trace": no known trace, a column is missing, or nothing of use in it.
    """
    _check(plan)
    rows = csv.reader(io.StringIO(text))
    try:
        head = [x.strip() for x in next(rows, [])]
    except csv.Error as e:
        raise _unknown(str(e)) from e
    if head == ["runtime"]:
        name, seeds, said = "philly", _philly(rows), Text(
            "Run times are Philly's (at most 12 hours). When they came, and whether somebody sat "
            "in front, is made up: hours and weekdays of a university."
        )
    elif "gpu_milli" in head or {"creation_time", "num_gpu"} & set(head):
        name, seeds, said = "openb", _openb(head, rows, plan), Text(
            "Times of the day and lifetimes (at most 12 hours) are openb's, its 149 days laid on "
            "{days}; LS pods are servers, BE pods runs.", days=plan.days,
        )
    else:
        raise _unknown(", ".join(head)[:80] or "an empty file")
    jobs, repeated = _jobs(seeds, slices, plan)
    more = [Text(
        "The trace is too short for this load and was used {count} times.", count=repeated
    )] if repeated > 1 else []
    return Trace(name, jobs, plan.days * DAY, (said, *_HALVES, *more))


def _check(plan: Plan) -> None:
    wrong = [
        text for text, bad in (
            ("--people needs at least 2", plan.people < 2),  # noqa: PLR2004 - the greedy one, and one
            (f"--days needs 1 to {MOST_DAYS}", not 1 <= plan.days <= MOST_DAYS),
            ("--load needs a number above 0, at most 20",
             not 0 < plan.load <= 20),  # noqa: PLR2004 - beyond it nothing is learnt
            ("weights need to be above 0", not all(
                0 < x < math.inf for x in plan.weights.values()) or not plan.weights),
        ) if bad
    ]
    if wrong:
        raise BadInput(
            "This cannot be replayed: {problems}.", reason="replay", problems="; ".join(wrong)
        )


def _unknown(found: str) -> BadInput:
    return BadInput(
        "This is no trace that can be replayed: {found}. Known are openb's pod list (CSV with "
        "{columns}) and a CSV with the one column `runtime`.",
        reason="trace", found=found, columns=", ".join(_OPENB),
    )


# ---- rows ----------------------------------------------------------------------------------------


def _openb(head: Sequence[str], rows: Iterable[list[str]], plan: Plan) -> list[_Seed]:
    missing = [x for x in _OPENB if x not in head]
    if missing:
        raise BadInput(
            "The trace lacks the columns {missing}.", reason="trace", missing=", ".join(missing)
        )
    place = {x: head.index(x) for x in _OPENB}
    found: list[_Seed] = []
    for row in rows:
        if len(row) != len(head):
            continue  # the last line of a copy that broke off
        one = {k: row[i] for k, i in place.items()}
        begun, ended = _number(one["scheduled_time"]), _number(one["deletion_time"])
        came, gpus = _number(one["creation_time"]), _number(one["num_gpu"])
        if None in (begun, ended, came) or not gpus or ended <= begun:  # type: ignore[operator]
            continue  # it never ran, or used no GPU
        at = (came // DAY % plan.days) * DAY + came % DAY  # type: ignore[operator]
        kind = Kind.RUN if one["qos"] == "BE" else Kind.SERVER
        found.append(_Seed(one["name"], _held(ended - begun), kind, at))  # type: ignore[operator]
    return _some(found)


def _philly(rows: Iterable[list[str]]) -> list[_Seed]:
    seconds = (_number(row[0]) if row else None for row in rows)
    return _some([_Seed(f"philly-{n:05}", _held(x)) for n, x in enumerate(seconds) if x])


def _some(found: list[_Seed]) -> list[_Seed]:
    if not found:
        raise BadInput("There is nothing in the trace that ran on a GPU.", reason="trace")
    return found


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 0 <= found < math.inf else None


def _held(seconds: float) -> float:
    return min(max(seconds, _SHORTEST), _LONGEST)


def _moment(plan: Plan, name: str, *, run: bool) -> float:
    """When somebody at a university would have asked for this; runs at any hour."""
    week = [1.0 if run or d % 7 < 5 else _WEEKEND for d in range(plan.days)]  # noqa: PLR2004
    day = _choose(week, drawn(plan.seed, name, "day"))
    hour = _choose((1,) * 24 if run else _HOURS, drawn(plan.seed, name, "hour"))
    return math.floor(day * DAY + (hour + drawn(plan.seed, name, "second")) * HOUR)


def _choose(weights: Sequence[float], luck: float) -> int:
    """Which of them, by weight."""
    sums = list(accumulate(weights))
    return next(i for i, x in enumerate(sums) if luck * sums[-1] < x)


# ---- people --------------------------------------------------------------------------------------


def _jobs(
    seeds: list[_Seed], slices: Sequence[Slice], plan: Plan
) -> tuple[tuple[Job, ...], int]:
    """Rows of the trace, in an order by the seed, until the load is reached; and how often used."""
    rate, wanted = rates(slices), plan.load * capacity(slices) * plan.days * DAY
    sizes = {g: at_least(slices, g) for g, _ in _MIX}
    order = sorted(seeds, key=lambda x: drawn(plan.seed, x.id, "order"))
    jobs = _greedy(plan, sizes[2])
    asked = sum((x.work + x.tail) * rate[x.profile] for x in jobs)
    rounds = 0
    for rounds in count(1):
        for seed in order:
            if asked >= wanted:
                break
            jobs.append(_job(seed, sizes, plan, rounds))
            asked += (jobs[-1].work + jobs[-1].tail) * rate[jobs[-1].profile]
        else:
            continue
        break
    return tuple(_dealt(sorted(jobs, key=lambda x: (x.asked_at, x.id)), plan)), rounds


def _job(seed: _Seed, sizes: Mapping[int, str], plan: Plan, turn: int) -> Job:
    """Nobody's job yet: a row with its size, its tail and its patience."""
    id = seed.id if turn == 1 else f"{seed.id}.{turn}"
    key, kind, at = (plan.seed, id), seed.kind, seed.asked_at
    if kind is None:
        kind = Kind.RUN if drawn(*key, "kind") < _RUN_SHARE else Kind.SERVER
    server = kind is Kind.SERVER
    if at is None or turn > 1:  # used again, a row comes at another hour
        at = _moment(plan, id, run=not server)
    size = _MIX[_choose([x for _, x in _MIX], drawn(*key, "size"))][0]
    patience = 2 * HOUR * 6 ** drawn(*key, "patience") if server else 7 * DAY
    return Job(
        id, "", "", kind, sizes[size], math.floor(at), math.ceil(seed.work),
        math.ceil(_tail(key)) if server else 0.0, math.ceil(patience),
    )


def _tail(key: tuple[object, ...]) -> float:
    """How long a person leaves the session open when the work is done, in seconds."""
    luck, how = drawn(*key, "forgets"), drawn(*key, "tail")
    if luck < 0.6:  # noqa: PLR2004 - as `_HALVES` says
        return how * 300
    if luck < 0.85:  # noqa: PLR2004 - same
        return 300 + how * 3300
    return (4 + how * 6) * HOUR


def _greedy(plan: Plan, profile: str) -> list[Job]:
    group = next(iter(plan.weights))
    return [
        Job(f"{GREEDY}-{d:03}", GREEDY, group, Kind.SERVER, profile,
            d * DAY + 7.9 * HOUR, 10 * HOUR, 13 * HOUR, DAY)
        for d in range(plan.days)
    ]


def _dealt(jobs: Iterable[Job], plan: Plan) -> Iterator[Job]:
    """The jobs with their people: busy ones more, and where it can be one thing at a time."""
    groups = list(plan.weights)
    people = [
        (f"{groups[i % len(groups)]}{i // len(groups) + 1:02}", groups[i % len(groups)])
        for i in range(plan.people - 1)
    ]
    order = sorted(range(len(people)), key=lambda i: drawn(plan.seed, people[i][0], "busy"))
    often = [(n + 1) ** -_ZIPF for n in range(len(people))]
    busy: dict[str, float] = {}
    for job in jobs:
        if job.user:
            yield job
            continue
        for turn in range(5):
            user, group = people[order[_choose(often, drawn(plan.seed, job.id, "who", turn))]]
            if job.kind is Kind.RUN or busy.get(user, 0.0) <= job.asked_at:
                break
        if job.kind is Kind.SERVER:
            busy[user] = max(busy.get(user, 0.0), job.asked_at + job.work + job.tail)
        yield Job(
            job.id, user, group, job.kind, job.profile, job.asked_at, job.work, job.tail,
            job.patience,
        )

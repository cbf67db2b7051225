"""People who come, work, forget to close, ask again and give up, before any policy's line.

Time goes from one moment at which something happens to the next, in seconds from the beginning.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from hub.core.nouns import Kind
from hub.core.replay.jobs import Job

AGAIN = 60.0  # seconds until somebody whose work was cut short asks again
CLEAN = 15.0  # seconds from the end of a hold until its slice can be given again


@dataclass(frozen=True)
class Ask:
    """One job in the line once: `left` is the work that it still needs, in seconds.

    `since`: from when its age counts; a run that had to give way keeps it.
    """

    id: str
    job: Job
    asked_at: float
    since: float
    left: float


@dataclass(frozen=True)
class Given:
    """A slice for an ask, with the slice-hours per hour that it counts."""

    id: str
    rate: float


@dataclass(frozen=True)
class Told:
    """What an asker was told at first: seconds from the beginning."""

    earliest: float
    latest: float


@dataclass
class Hold:
    """One slice held once, and what came of the waiting for it.

    `granted_at` is None for whoever gave up. `worked`: seconds of work that were done on it.
    `cut`: asked back before the work was done.
    """

    ask: Ask
    granted_at: float | None = None
    ended_at: float | None = None
    rate: float = 0.0
    worked: float = 0.0
    cut: bool = False
    told: Told | None = None


@dataclass
class Turned:
    """What a policy decided: who got a slice, and who has to go now."""

    given: list[Given] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


class Policy(Protocol):
    """A line that gives slices, and may take them back."""

    def ask(self, ask: Ask, at: float) -> Told | None:
        """Somebody asks; what they are told."""

    def leave(self, ask: Ask, at: float) -> None:
        """Somebody who waits gives up."""

    def rests(self, ask: Ask, at: float) -> None:
        """A holder's work is done; nothing happens on its slice from now on."""

    def close(self, ask: Ask, at: float) -> None:
        """A holder gives its slice back by itself."""

    def turn(self, at: float) -> Turned:
        """What is decided by now."""

    def due(self, at: float) -> float | None:
        """When something is to be decided next, if nobody does anything; later than `at`."""


class What(IntEnum):
    """What happens to a job; at one moment in this order."""

    CLOSES = 0
    RESTS = 1
    LEAVES = 2
    ASKS = 3


def play(
    jobs: Iterable[Job], policy: Policy, *, told: Callable[[float], None] = lambda _: None
) -> list[Hold]:
    """Everything that came of the jobs under a policy, until the last one is done or given up.

    `told` is called with the time now and then, for whoever shows the progress.
    """
    return _Day(jobs, policy, told).run()


class _Day:
    """One run through all jobs."""

    def __init__(
        self, jobs: Iterable[Job], policy: Policy, told: Callable[[float], None]
    ) -> None:
        self._policy = policy
        self._told = told
        self._holds: dict[str, Hold] = {}
        self._coming: list[tuple[float, int, str]] = []
        self._asks: dict[str, Ask] = {}
        for job in jobs:
            self._will_ask(Ask(job.id, job, job.asked_at, job.asked_at, job.work))

    def run(self) -> list[Hold]:
        """Until nothing is left to happen."""
        at, count = 0.0, 0
        while (then := self._next(at)) is not None:
            at, count = then, count + 1
            if count % 256 == 1:
                self._told(at)
            while self._coming and self._coming[0][0] <= at:
                _, what, id = heapq.heappop(self._coming)
                self._happens(What(what), id, at)
            turned = self._policy.turn(at)
            for given in turned.given:
                self._given(given, at)
            for id in turned.cut:
                self._ends(id, at, cut=True)
        return list(self._holds.values())

    def _next(self, at: float) -> float | None:
        due = self._policy.due(at)
        mine = self._coming[0][0] if self._coming else None
        if mine is None and not self._open():
            return None  # a policy may have plans for ever; nobody is left to see them
        return min((x for x in (mine, due) if x is not None), default=None)

    def _open(self) -> bool:
        return any(x.ended_at is None for x in self._holds.values())

    def _will(self, at: float, what: What, id: str) -> None:
        heapq.heappush(self._coming, (at, what, id))

    def _will_ask(self, ask: Ask) -> None:
        self._asks[ask.id] = ask
        self._will(ask.asked_at, What.ASKS, ask.id)

    def _happens(self, what: What, id: str, at: float) -> None:
        if what is What.ASKS:
            self._does_ask(self._asks.pop(id), at)
            return
        hold = self._holds[id]
        if hold.ended_at is not None:
            return  # it was cut short before
        if what is What.LEAVES:
            if hold.granted_at is None:
                hold.ended_at = at
                self._policy.leave(hold.ask, at)
        elif what is What.RESTS:
            self._policy.rests(hold.ask, at)
        else:
            self._ends(id, at, cut=False)
            self._policy.close(hold.ask, at)

    def _does_ask(self, ask: Ask, at: float) -> None:
        hold = self._holds[ask.id] = Hold(ask)
        if ask.job.patience < float("inf"):
            self._will(at + ask.job.patience, What.LEAVES, ask.id)
        hold.told = self._policy.ask(ask, at)

    def _given(self, given: Given, at: float) -> None:
        hold = self._holds[given.id]
        hold.granted_at, hold.rate = at, given.rate
        done = at + hold.ask.left
        if hold.ask.job.tail > 0:
            self._will(done, What.RESTS, given.id)
        self._will(done + hold.ask.job.tail, What.CLOSES, given.id)

    def _ends(self, id: str, at: float, *, cut: bool) -> None:
        hold = self._holds[id]
        assert hold.granted_at is not None
        hold.ended_at = at
        hold.worked = min(at - hold.granted_at, hold.ask.left)
        left = hold.ask.left - hold.worked
        if not cut or left <= 0:
            return
        hold.cut = True
        ask, run = hold.ask, hold.ask.job.kind is Kind.RUN
        again = at if run else at + AGAIN
        name, _, turn = ask.id.rpartition("~")
        next_id = f"{name}~{int(turn) + 1}" if name else f"{ask.id}~2"
        self._will_ask(Ask(next_id, ask.job, again, ask.since if run else again, left))


def of_jobs(holds: Sequence[Hold]) -> dict[str, list[Hold]]:
    """Each job's holds, the first one first."""
    found: dict[str, list[Hold]] = {}
    for hold in sorted(holds, key=lambda x: (x.ask.asked_at, x.ask.id)):
        found.setdefault(hold.ask.job.id, []).append(hold)
    return found

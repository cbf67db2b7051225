"""What ran since: how it ended, what it took, its figures, and the run that it is compared with."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.core.figures import Figure, figures
from hub.core.glance import last_lines
from hub.core.runs import OPEN_RUNS, Run, RunStage
from hub.core.schedules import Unrun

# what went wrong, for whoever reads over coffee; a cancel was somebody's wish
FAILED = frozenset(
    x for x in RunStage
    if x not in OPEN_RUNS and x not in (RunStage.SUCCEEDED, RunStage.CANCELLED)
)


@dataclass(frozen=True)
class Entry:
    """A run that ended, with the run before of the same notebook, if one succeeded."""

    run: Run
    before: Run | None
    figures: tuple[Figure, ...]

    @property
    def failed(self) -> bool:
        """Whether it went wrong."""
        return self.run.stage in FAILED

    @property
    def seconds(self) -> float | None:
        """How long its last attempt took."""
        return took(self.run)

    @property
    def seconds_before(self) -> float | None:
        """How long the run before took; None where there is none."""
        return took(self.before) if self.before else None

    @property
    def cell(self) -> int | None:
        """The cell in which it failed, counted from 1; None where it did not, or nobody knows."""
        if not self.failed:
            return None
        told = (self.run.error or {}).get("cell")
        known = isinstance(told, int) and not isinstance(told, bool) and told > 0
        return told if known else None  # type: ignore[return-value]

    @property
    def error(self) -> str:
        """The error in a line, like "ValueError: no such file"; "" where none was raised."""
        told = self.run.error or {}
        name, value = (str(told.get(x) or "") for x in ("ename", "evalue"))
        return ": ".join(x for x in (name, *last_lines(value.splitlines()[:1])) if x)

    @property
    def lines(self) -> tuple[str, ...]:
        """The last lines of the error; empty where none were kept."""
        told = (self.run.error or {}).get("lines")
        return last_lines(told if isinstance(told, list) else [])


@dataclass(frozen=True)
class Swept:
    """A sweep of which something ended: how many of all its runs are in each stage."""

    id: str
    user: str
    notebook: str
    counts: Mapping[RunStage, int]

    @property
    def failed(self) -> int:
        """How many of its runs went wrong."""
        return sum(n for stage, n in self.counts.items() if stage in FAILED)


@dataclass(frozen=True)
class Report:
    """What ended between two moments: what went wrong first, then the newest first.

    `counts`: how many ended, by stage, the runs of sweeps among them. `still`: how many of these
    people's runs have not ended, by stage. `unrun`: slots of schedules that came to nothing.
    """

    since: datetime
    until: datetime
    entries: tuple[Entry, ...]
    sweeps: tuple[Swept, ...]
    counts: Mapping[RunStage, int]
    still: Mapping[RunStage, int]
    unrun: tuple[Unrun, ...] = ()

    @property
    def people(self) -> set[str]:
        """Whose it is."""
        runs = {x.run.user for x in self.entries} | {x.user for x in self.sweeps}
        return runs | {x.schedule.user for x in self.unrun}

    @property
    def succeeded(self) -> int:
        """How many went well."""
        return self.counts.get(RunStage.SUCCEEDED, 0)

    @property
    def failed(self) -> int:
        """How many went wrong."""
        return sum(n for stage, n in self.counts.items() if stage in FAILED)


def report_of(runs: Iterable[Run], since: datetime, until: datetime) -> Report:
    """The report of these runs, of whom the older ones are there to compare with."""
    known = sorted(runs, key=lambda x: (x.asked_at, x.id))
    ended = [x for x in known if x.ended_at and x.done and since <= x.ended_at < until]
    swept: dict[str, list[Run]] = {x.sweep: [] for x in ended if x.sweep}
    for run in known:
        if run.sweep in swept:
            swept[run.sweep].append(run)
    earlier = _Earlier(known)
    alone = sorted(
        (x for x in ended if not x.sweep),
        key=lambda x: (x.stage not in FAILED, -x.ended_at.timestamp() if x.ended_at else 0, x.id),
    )
    return Report(
        since, until,
        tuple(_entry(x, earlier.before(x)) for x in alone),
        tuple(
            Swept(id, its[0].user, its[0].notebook, Counter(x.stage for x in its))
            for id, its in reversed(swept.items())
        ),
        Counter(x.stage for x in ended),
        Counter(x.stage for x in known if not x.done),
    )


def entry_of(run: Run, others: Sequence[Run]) -> Entry:
    """A run beside the one before it among `others`."""
    return _entry(run, before_of(run, others))


def before_of(run: Run, others: Iterable[Run]) -> Run | None:
    """The last run of the same person's same notebook that had succeeded when this one ended.

    Another point of its own sweep is none: it had other parameters on purpose. So for a run of a
    sweep it is the last with the same parameters, for any other one the last outside of sweeps.
    """
    until = run.ended_at or run.started_at or run.asked_at
    found = [
        x for x in others
        if x.id != run.id and (x.user, x.notebook) == (run.user, run.notebook)
        and x.stage is RunStage.SUCCEEDED and x.ended_at and x.ended_at <= until
        and (x.parameters == run.parameters and x.sweep != run.sweep if run.sweep else not x.sweep)
    ]
    return max(found, key=lambda x: (x.ended_at, x.id), default=None)


def took(run: Run) -> float | None:
    """Seconds from a run's start to its end; None where it never ran."""
    if run.started_at is None or run.ended_at is None:
        return None
    return max(0.0, (run.ended_at - run.started_at).total_seconds())


def _entry(run: Run, before: Run | None) -> Entry:
    return Entry(run, before, tuple(figures(run.metrics, before.metrics if before else None)))


class _Earlier:
    """`before_of` for many runs outside of sweeps: looking through all for each is quadratic."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._by_end: dict[tuple[str, str], list[tuple[datetime, str, Run]]] = defaultdict(list)
        for x in runs:
            if x.stage is RunStage.SUCCEEDED and x.ended_at and not x.sweep:
                self._by_end[x.user, x.notebook].append((x.ended_at, x.id, x))
        for found in self._by_end.values():
            found.sort(key=lambda x: x[:2])

    def before(self, run: Run) -> Run | None:
        """The last that had succeeded when this one, which has ended, did."""
        assert run.ended_at
        found = self._by_end.get((run.user, run.notebook), [])
        # of those that ended at the same moment it may be any but the last
        for i in range(bisect_right(found, run.ended_at, key=lambda x: x[0]) - 1, -1, -1):
            if found[i][1] != run.id:
                return found[i][2]
        return None

"""Sweeps: one notebook with every combination of some values."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import product

from hub.core.notebook import Json
from hub.core.runs import Run, RunStage, Submission, new_run, seed_of
from hub.errors import BadInput

MOST = 1000  # points; the list of them is one page, and one write
_PARAMETERS_MOST = 4 * 1024 * 1024  # characters as JSON, of all points together


@dataclass(frozen=True)
class Sweep:
    """The runs of one sweep, in the order of its points."""

    id: str
    runs: tuple[Run, ...]

    @property
    def counts(self) -> dict[RunStage, int]:
        """How many runs are in each stage; only stages that occur."""
        return dict(Counter(x.stage for x in self.runs))

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters in which its runs differ, in their order; all of them for one run."""
        every = list(dict.fromkeys(k for x in self.runs for k in x.parameters))
        if len(self.runs) == 1:
            return tuple(every)
        first = self.runs[0].parameters
        return tuple(k for k in every if any(
            x.parameters.get(k, _NONE) != first.get(k, _NONE) for x in self.runs
        ))


@dataclass(frozen=True)
class SweepLine:
    """A sweep in a list: whose, of what, and how many of its runs are in each stage."""

    id: str
    user: str
    notebook: str
    profile: str
    asked_at: object
    counts: Mapping[RunStage, int]


_NONE = object()


def points(
    shared: Mapping[str, Json], sweep: Mapping[str, Sequence[Json]]
) -> list[dict[str, Json]]:
    """Every combination of the values, the last name changing fastest; each with what all share.

    Raises:
        BadInput: reason "sweep": no values, too many points, a name that is also shared.
    """
    empty = sorted(k for k, x in sweep.items() if not x)
    if empty or not sweep:
        raise BadInput(
            "A sweep needs a name and its values, like lr=0.1,0.01. Without values: {names}.",
            reason="sweep", names=", ".join(empty) or "-",
        )
    both = sorted(shared.keys() & sweep.keys())
    if both:
        raise BadInput(
            "{names} is given as one value and swept as well. Leave one of the two out.",
            reason="sweep", names=", ".join(both),
        )
    count = math.prod(len(x) for x in sweep.values())
    if count > MOST:
        raise BadInput(
            "The sweep has {count} points; at most {most} are taken at once.", reason="sweep",
            count=count, most=MOST,
        )
    return [{**shared, **dict(zip(sweep, x, strict=True))} for x in product(*sweep.values())]


def new_runs(
    wanted: Submission, ids: Iterator[str], sweep: str, *, now: datetime, image: str, limit: int,
    day: date | None = None,
) -> list[Run]:
    """The runs of a sweep, in the order of its points; see `runs.new_run`.

    Args:
        ids: new ones, one for each run.
        sweep: the id of the sweep.

    Raises:
        BadInput: as `runs.new_run`; or the parameters of all points are too large together.
    """
    every = points(wanted.parameters, wanted.sweep)
    if sum(len(json.dumps(x)) for x in every) > _PARAMETERS_MOST:
        raise BadInput(
            "Parameters may have {most} characters together; put larger data into a file.",
            reason="parameters-too-large", most=_PARAMETERS_MOST,
        )
    first = new_run(
        replace(wanted, parameters=every[0]), id=next(ids), now=now, image=image,
        limit=limit, day=day,
    )
    stem = first.folder.removesuffix(first.id)
    made = [replace(first, sweep=sweep)]
    for i, point in enumerate(every[1:], 1):
        id = next(ids)
        made.append(replace(
            made[0], id=id, parameters=point, folder=f"{stem}{id}", seed=seed_of(point),
            # so that they stand in this order wherever the oldest is first
            asked_at=now + i * timedelta(microseconds=1),
        ))
    return made


def lines(found: Iterable[tuple[Run, int]]) -> list[SweepLine]:
    """Sweeps out of (one of its runs, how many are in that run's stage), newest first."""
    made: dict[str, SweepLine] = {}
    for run, count in found:
        old = made.get(run.sweep)
        counts = {**(old.counts if old else {}), run.stage: count}
        made[run.sweep] = SweepLine(
            run.sweep, run.user, run.notebook, run.profile, run.asked_at, counts
        )
    return list(made.values())

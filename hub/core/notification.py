"""What is told of a run or a sweep that has ended, and when it is tried again to tell it.

Of the notebook nothing is told but its name and the first line of its error.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hub.core.runs import Run, RunStage
from hub.core.schedules import Unrun

# between one try and the next; after the last one it is dropped
WAITS = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1))
_LINE = 200  # characters
_NAME = 100


@dataclass(frozen=True)
class News:
    """A run that has ended, or a sweep whose last run has. `id` and `path` are its own.

    `message`: what is known of its end, in English; `error`: the first line of the error and the
    cell that raised it, where one did. `counts`: of a sweep, how many runs came to which end.
    `slot`: the time of a schedule that came to nothing, "" of a run and a sweep.
    """

    id: str
    user: str
    notebook: str
    path: str
    targets: tuple[str, ...]
    stage: RunStage
    message: str = ""
    error: str = ""
    cell: int | None = None
    took: timedelta | None = None
    counts: Mapping[RunStage, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    slot: str = ""

    @property
    def event(self) -> str:
        """What a webhook knows it by."""
        if self.slot:
            return "slot.unrun"
        return "sweep.ended" if self.counts else "run.ended"


@dataclass(frozen=True)
class Notification:
    """One thing to tell one place. The id is always the same for the same news and place.

    `body`: what a webhook is given.
    """

    id: str
    user: str
    target: str
    title: str
    text: str
    link: str
    body: Mapping[str, Any]
    next_at: datetime
    tries: int = 0


def of_run(run: Run) -> News:
    """The news of a run that has ended and belongs to no sweep."""
    error, cell = _error(run)
    return News(
        id=run.id, user=run.user, notebook=_one_line(run.notebook, _NAME),
        path=f"runs/{run.id}", targets=run.notify, stage=run.stage,
        message="" if error else _one_line(run.message, _LINE), error=error, cell=cell,
        took=_took([run]), facts={"run": _facts(run, error)},
    )


def of_sweep(runs: Sequence[Run]) -> News:
    """The news of a sweep, all of whose runs have ended; its stage is the worst of theirs."""
    first = runs[0]
    counts = Counter(x.stage for x in runs)
    bad = [x for x in counts if x is not RunStage.SUCCEEDED]
    failed = [x for x in bad if x is not RunStage.CANCELLED]
    stage = (failed or bad or [RunStage.SUCCEEDED])[0]
    return News(
        id=first.sweep, user=first.user, notebook=_one_line(first.notebook, _NAME),
        path=f"sweeps/{first.sweep}", targets=first.notify, stage=stage, took=_took(runs),
        counts=counts, facts={"sweep": {
            "id": first.sweep, "user": first.user, "notebook": first.notebook,
            "profile": first.profile, "schedule": first.schedule, "count": len(runs),
            "counts": {k.value: x for k, x in counts.items()},
        }},
    )


def of_slot(unrun: Unrun) -> News:
    """The news of a schedule's slot that came to nothing."""
    its, seen = unrun.schedule, unrun.seen
    return News(
        id=f"{its.id}-{seen.slot.replace(':', '')}", user=its.user,
        notebook=_one_line(its.notebook, _NAME), path="report", targets=its.notify,
        stage=RunStage.CANCELLED, message=_one_line(seen.message, _LINE),
        slot=seen.slot.replace("T", " "), facts={"slot": {
            "schedule": its.id, "name": its.name, "user": its.user, "notebook": its.notebook,
            "slot": seen.slot, "outcome": seen.outcome.value, "message": seen.message,
        }},
    )


def made(news: News, title: str, text: str, link: str, now: datetime) -> list[Notification]:
    """What is to be told, a notification for each place."""
    body = {
        "event": news.event, "title": title,
        "text": f"{text}\n{link}".strip(), "link": link, **news.facts,
    }
    return [
        Notification(
            id=id, user=news.user, target=target, title=title, text=text, link=link,
            body={"id": id, **body}, next_at=now,
        ) for id, target in places(news.id, news.targets).items()
    ]


def places(of: str, targets: Iterable[str]) -> dict[str, str]:
    """The id of each notification of this run or sweep → where it goes."""
    return {f"{of}-{i}": x for i, x in enumerate(dict.fromkeys(targets))}


def again(failed: Notification, now: datetime) -> Notification | None:
    """The same, to be tried later; None where that was the last try."""
    if failed.tries >= len(WAITS):
        return None
    return replace(failed, tries=failed.tries + 1, next_at=now + WAITS[failed.tries])


def as_json(one: Notification) -> dict[str, Any]:
    """As it is kept."""
    return {**one.__dict__, "next_at": one.next_at.isoformat()}


def of_json(kept: Mapping[str, Any]) -> Notification:
    """What `as_json` made.

    Raises:
        TypeError, ValueError, KeyError: it is none.
    """
    found = Notification(**{**kept, "next_at": datetime.fromisoformat(kept["next_at"])})
    if not isinstance(found.tries, int) or not isinstance(found.body, dict):
        raise TypeError("no notification")
    return found


def _facts(run: Run, error: str) -> dict[str, Any]:
    return {
        "id": run.id, "user": run.user, "notebook": run.notebook, "profile": run.profile,
        "schedule": run.schedule, "slot": run.slot, "stage": run.stage.value,
        "exit_code": run.exit_code, "error": error,
        "asked_at": _iso(run.asked_at), "started_at": _iso(run.started_at),
        "ended_at": _iso(run.ended_at),
    }


def _error(run: Run) -> tuple[str, int | None]:
    """(the first line of its error, the cell's number); what it says of itself may be anything."""
    if run.error is None or run.stage is RunStage.SUCCEEDED:
        return "", None
    name, value = (str(run.error.get(x) or "").strip() for x in ("ename", "evalue"))
    cell = run.error.get("cell")
    first = value.splitlines()[0] if value else ""
    text = _one_line(f"{name}: {first}" if name and first else name or first, _LINE)
    return text, cell if isinstance(cell, int) else None


def _took(runs: Iterable[Run]) -> timedelta | None:
    """From the first one's start to the last one's end."""
    starts = [x.started_at for x in runs if x.started_at]
    ends = [x.ended_at for x in runs if x.started_at and x.ended_at]
    return max(ends) - min(starts) if starts and ends else None


def _one_line(text: str, most: int) -> str:
    line = " ".join("".join(x if x.isprintable() else " " for x in text).split())
    return line if len(line) <= most else f"{line[:most - 1]}…"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None

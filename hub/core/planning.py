"""Runs that are kept and not in the line yet: who asks now, and what is tried once more."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hub.core import runs
from hub.core.runs import AFTER_ENDED, AGAIN_LATER, DONE, OPEN_RUNS, Run, RunStage
from hub.errors import BadInput, Refusal

# between an end that a retry can mend and the next try: the first, the second, all later ones
BACKOFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
# ends that are the machine's: a container or a node that was lost, Docker or the host going down.
# A cell that raises, a time-out, memory and a dead kernel would come again
MENDABLE = frozenset({RunStage.LOST, RunStage.INTERRUPTED})
IN_LINE = OPEN_RUNS - {RunStage.PLANNED}


@dataclass(frozen=True)
class Planned:
    """A planned run, as far as its turn is concerned; thousands of them are looked at."""

    id: str
    user: str
    asked_at: datetime
    not_before: datetime | None = None
    after: str = ""
    schedule: str = ""
    slot: str = ""


@dataclass(frozen=True)
class Turn:
    """Who asks for a slice now, oldest first; and who never will: id → why."""

    ask: tuple[str, ...] = ()
    cancel: Mapping[str, str] | None = None

    @property
    def gone(self) -> Mapping[str, str]:
        """Id → why it never will."""
        return self.cancel or {}


def promote(
    waiting: Iterable[Planned], in_line: Iterable[Run], ended: Mapping[str, RunStage], *,
    most: int, now: datetime,
) -> Turn:
    """Which planned runs ask now: their time has come, their turn in their schedule too.

    Args:
        in_line: runs that have asked and not ended.
        ended: the stages of runs named by `after`, as far as they have ended.
        most: runs that one person may have in the line; further ones wait for room.
    """
    oldest = sorted(waiting, key=lambda x: (x.asked_at, x.id))
    there = tuple(in_line)
    room = Counter(x.user for x in there)
    first = _first_slots((*oldest, *there))
    ask: list[str] = []
    gone: dict[str, str] = {}
    for one in oldest:
        stage = ended.get(one.after) if one.after else RunStage.SUCCEEDED
        if stage is not None and stage is not RunStage.SUCCEEDED:
            gone[one.id] = AFTER_ENDED.format(run=one.after, stage=stage)
            continue
        due = one.not_before is None or one.not_before <= now
        # run by hand it has no slot, and waits for none
        turn = not one.slot or first[one.schedule] == one.slot
        if stage and due and turn and room[one.user] < most:
            room[one.user] += 1
            ask.append(one.id)
    return Turn(tuple(ask), gone)


def _first_slots(found: Iterable[Planned | Run]) -> dict[str, str]:
    """Schedule → its earliest slot with a run that has not ended: the later ones wait for it."""
    first: dict[str, str] = {}
    for x in found:
        if x.slot:
            first[x.schedule] = min(first.get(x.schedule, x.slot), x.slot)
    return first


def planned(run: Run, now: datetime, *, room: bool) -> Run:
    """A new run as it begins: in the line, or planned where it may not ask yet."""
    early = run.not_before is not None and run.not_before > now
    if early or run.after or run.slot or not room:
        return replace(run, stage=RunStage.PLANNED, lined_at=None)
    return replace(run, not_before=None)


def enters(run: Run, *, at: datetime) -> Run:
    """The planned run in the line; its age there begins now, but for one that was there before."""
    if run.stage is not RunStage.PLANNED:
        return run
    return replace(
        run, stage=RunStage.WAITING, lined_at=run.lined_at or at, not_before=None,
        message="" if run.attempt == 1 else run.message,
    )


def once_more(run: Run, *, at: datetime) -> Run:
    """An ended run planned anew, where tries are left: another attempt, under another lease."""
    if run.retries < 1 or not run.done:
        return run
    wait = BACKOFF[min(run.retried, len(BACKOFF) - 1)]
    return replace(
        run, stage=RunStage.PLANNED, retries=run.retries - 1, retried=run.retried + 1,
        attempt=run.attempt + 1, not_before=at + wait, started_at=None, ended_at=None,
        exit_code=None, cells_done=0, steps_done=0, steps=0, slice="",
        message=AGAIN_LATER.format(cause=run.message or run.stage),
    )


def mended(run: Run, *, at: datetime) -> Run:
    """The same for a run that has just ended: where its end is one that a retry can mend."""
    return once_more(run, at=at) if run.stage in MENDABLE else run


def not_started(run: Run, why: str, *, mendable: bool, at: datetime) -> Run:
    """A run whose container could not be started; `mendable`: not for what was asked."""
    after = runs.not_started(run, why, at=at)
    return once_more(after, at=at) if mendable and after.stage is RunStage.FAILED else after


def check_after(after: Run) -> None:
    """Refuse to wait for a run that has ended otherwise than well: it would be for ever.

    Raises:
        BadInput: reason "after".
    """
    if after.stage in DONE and after.stage is not RunStage.SUCCEEDED:
        raise BadInput(
            "The run {id} has ended ({stage}), so nothing can begin after it has succeeded.",
            reason="after", id=after.id, stage=after.stage.value,
        )


def check_share(has: int, more: int, most: int) -> None:
    """Refuse `more` runs to somebody who `has` so many that have not ended.

    Raises:
        Refusal: "too-many-runs" (429).
    """
    if has + more > most:
        raise Refusal(
            "You have {has} runs that have not ended, and at most {most} are allowed. Wait for "
            "some to end, or cancel some.", reason="too-many-runs", status=429, has=has, most=most,
        )

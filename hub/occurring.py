"""At each tick: runs for every slot of a schedule that has come.

What becomes of a slot is written in the same transaction as its runs, under the slot's own name.
So a killed service, or a second one, runs none twice and leaves none out.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hub import metrics
from hub.core import schedules
from hub.core.runs import REPLACED, Run, cancelled
from hub.core.schedules import Occurrence, Outcome, Overlap, Schedule, Slot, Unrun
from hub.edge import cron
from hub.edge.store import Unit
from hub.errors import Refusal, Unavailable
from hub.schedules import Schedules, seen_until

log = logging.getLogger("madang.schedules")
_REST = timedelta(seconds=30)


@dataclass
class _Turn:
    """A slot's turn: what is to be made, or why nothing is; then what was made and cancelled."""

    slot: Slot
    wanted: Sequence[Run] = ()
    why: tuple[Outcome, str] | None = None
    made: Sequence[Run] = ()
    gone: list[Run] = field(default_factory=list)
    seen: Occurrence | None = None


class Occurring:
    """Gives slots their turn; one service ticks it, and a second one does no harm."""

    def __init__(self, schedules: Schedules) -> None:
        self.schedules = schedules
        self.batch = schedules.batch
        self._store = self.batch.broker.edges.store
        self.tell: Callable[[Unrun], None] = lambda _: None  # of a slot that came to nothing
        self._resting: dict[str, datetime] = {}  # in trouble: not again before

    def tick(self) -> None:
        """Make the runs of every slot that has come."""
        now = self.batch.mover.clock()
        for schedule in self._store.due(now):
            if self._resting.get(schedule.id, now) > now:
                continue
            try:
                self._occur(schedule, now)
            except Unavailable as e:
                # a full disk, or no card seen yet: until the slot is too old
                log.warning("schedule %s: its slot is tried again: %s", schedule.id, e.detail)
                self._resting[schedule.id] = now + _REST
            except Exception:
                log.exception("schedule %s: its slot is tried again", schedule.id)
                self._resting[schedule.id] = now + _REST

    def _occur(self, schedule: Schedule, now: datetime) -> None:
        turn = _Turn(cron.latest(schedule.cron, schedule.zone, now))
        turn.why = self._hindrance(schedule, turn.slot, now)
        try:
            with self.schedules.lock:
                if turn.why is None and turn.slot.at > schedule.seen:
                    self._prepare(schedule, turn)
                with self._store.write() as unit:
                    self._write(unit, schedule, turn, now)
        finally:
            if turn.wanted and not turn.made:
                self.batch.files.forget(turn.wanted[0].input_id)
        if turn.seen is not None and turn.seen.outcome is not Outcome.RUN:
            self.tell(Unrun(schedule, turn.seen))
        for run in turn.gone:
            if run.done:
                self.batch.mover.over(run)
            self.batch.let_go(run, REPLACED)

    def _hindrance(
        self, schedule: Schedule, slot: Slot, now: datetime
    ) -> tuple[Outcome, str] | None:
        if schedules.is_late(schedule, slot, now):
            return Outcome.MISSED, schedules.MISSED
        people = {x.name for x in self.batch.broker.members()}
        if people and schedule.user not in people:
            return Outcome.REFUSED, schedules.UNKNOWN_OWNER.format(user=schedule.user)
        return None

    def _prepare(self, schedule: Schedule, turn: _Turn) -> None:
        """Runs and their input: before the write, so that no run is ever there without."""
        try:
            wanted = self.schedules.runs_of(schedule, turn.slot)
            self.batch.check(wanted[0])
            self.schedules.keep_for(wanted, schedule)
            turn.wanted = wanted
        except Unavailable:
            raise
        except (Refusal, FileNotFoundError) as e:
            turn.why = (Outcome.REFUSED, str(e))

    def _write(self, unit: Unit, schedule: Schedule, turn: _Turn, now: datetime) -> None:
        id, slot = schedule.id, turn.slot
        if unit.look.schedule(id) != schedule:
            return  # changed, or gone, or another service was quicker: the next tick looks again
        unit.put_schedule(seen_until(schedule, now))
        if slot.at <= schedule.seen or unit.look.has_occurrence(id, slot.name):
            return
        before = schedules.in_the_way(schedule, unit.look.runs_of("schedule", id))
        if turn.why is None and before and schedule.overlap is Overlap.SKIP:
            turn.why = (Outcome.SKIPPED, schedules.SKIPPED.format(run=before[0].id))
        if turn.why is None:
            self._place(unit, turn)
        if turn.made and schedule.overlap is Overlap.REPLACE:
            turn.gone = [cancelled(x, REPLACED, at=now) for x in before]
            for run in turn.gone:
                unit.put_run(run)
        outcome, message = turn.why or (Outcome.RUN, "")
        first = turn.made[0] if turn.made else None
        turn.seen = Occurrence(
            id, slot.name, slot.at, now, outcome, message=message,
            run=first.id if first and not first.sweep else "", sweep=first.sweep if first else "",
        )
        unit.put_occurrence(turn.seen)
        metrics.OCCURRENCES.labels(outcome.value).inc()
        log.info("schedule %s, %s: %s %s", id, slot.name, outcome.value, message)

    def _place(self, unit: Unit, turn: _Turn) -> None:
        try:
            turn.made = self.batch.place(unit, turn.wanted)
        except Refusal as e:
            turn.why = (Outcome.REFUSED, str(e))

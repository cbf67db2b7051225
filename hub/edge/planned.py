"""Runs and schedules inside a write: what it sees of them, and what it writes.

Only `hub.edge.store` imports this.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from hub.core.once import Taken
from hub.core.planning import IN_LINE
from hub.core.runs import Run
from hub.core.schedules import Occurrence, Schedule
from hub.edge import rows, tables
from hub.edge.runreads import NOT_DONE, RUNS, SCHEDULES, taken_in

_RUN = tables.runs.c
_OPEN = RUNS.where(_RUN.stage.in_(NOT_DONE))
_STANDING = [str(x) for x in IN_LINE]


class Look:
    """What one write transaction sees."""

    def __init__(self, connection: sa.Connection) -> None:
        self._c = connection

    def runs(self) -> dict[str, Run]:
        """Runs that are not done, by id."""
        return {x.id: x for x in map(rows.run_of, self._c.execute(_OPEN))}

    def run(self, id: str) -> Run | None:
        """A run that is not done."""
        found = self._c.execute(_OPEN.where(_RUN.id == id)).one_or_none()
        return None if found is None else rows.run_of(found)

    def runs_of(self, column: str, value: str) -> list[Run]:
        """Runs that are not done, by their sweep, schedule or user; oldest first."""
        wanted = _OPEN.where(_RUN[column] == value).order_by(_RUN.asked_at, _RUN.id)
        return [rows.run_of(x) for x in self._c.execute(wanted)]

    def counts(self, user: str) -> tuple[int, int]:
        """How many runs of this person are not done, and how many of them stand in the line."""
        wanted = sa.select(_RUN.stage, sa.func.count()).where(
            _RUN.user == user, _RUN.stage.in_(NOT_DONE)
        ).group_by(_RUN.stage)
        found: dict[str, int] = {x[0]: x[1] for x in self._c.execute(wanted)}
        return sum(found.values()), sum(found.get(x, 0) for x in _STANDING)

    def schedule(self, id: str) -> Schedule | None:
        """A schedule as it is now."""
        wanted = SCHEDULES.where(tables.schedules.c.id == id)
        found = self._c.execute(wanted).mappings().one_or_none()
        return None if found is None else rows.schedule_of(found)

    def has_occurrence(self, schedule: str, slot: str) -> bool:
        """Whether this slot has had its turn."""
        at = tables.occurrences.c
        wanted = sa.select(at.slot).where(at.schedule == schedule, at.slot == slot)
        return self._c.execute(wanted).one_or_none() is not None

    def taken(self, by: str, key: str) -> Taken | None:
        """What was made of the submission that had this key."""
        return taken_in(self._c, by, key)


def save_runs(c: sa.Connection, changed: Mapping[str, Run | None]) -> None:
    """Write these runs; None is one that goes."""
    if not changed:
        return
    c.execute(_DROP_RUN, [{"_id": x} for x in changed])
    gone = [{"_id": k} for k, x in changed.items() if x is None]
    if gone:
        c.execute(_DROP_TAKEN, gone)
    made = [rows.run_row(x) for x in changed.values() if x is not None]
    if made:
        c.execute(_PUT_RUN, made)


def save_schedules(
    c: sa.Connection, changed: Mapping[str, Schedule | None], seen: Sequence[Occurrence]
) -> None:
    """Write these schedules, None is one that goes with its occurrences; and new occurrences.

    Raises:
        IntegrityError: a slot has had its turn already.
    """
    if changed:
        c.execute(_DROP_SCHEDULE, [{"_id": x} for x in changed])
    made = [rows.schedule_row(x) for x in changed.values() if x is not None]
    if made:
        c.execute(_PUT_SCHEDULE, made)
    gone = [{"_id": k} for k, x in changed.items() if x is None]
    if gone:
        c.execute(_DROP_OCCURRENCES, gone)
    if seen:
        c.execute(_PUT_OCCURRENCE, [rows.occurrence_row(x) for x in seen])


def save_taken(c: sa.Connection, made: Sequence[Taken]) -> None:
    """Write what was made of submissions that had a key.

    Raises:
        IntegrityError: something was made of one already.
    """
    if made:
        c.execute(_PUT_TAKEN, [rows.taken_row(x) for x in made])


def prune(c: sa.Connection, oldest: datetime) -> None:
    """Forget what became of slots and of keys before `oldest`.

    A schedule remembers by itself what it saw.
    """
    c.execute(sa.delete(tables.occurrences).where(tables.occurrences.c.at < oldest))
    c.execute(sa.delete(tables.taken).where(tables.taken.c.at < oldest))


_ID: sa.BindParameter[str] = sa.bindparam("_id")
_DROP_RUN = sa.delete(tables.runs).where(_RUN.id == _ID)
_PUT_RUN = sa.insert(tables.runs)
_DROP_SCHEDULE = sa.delete(tables.schedules).where(tables.schedules.c.id == _ID)
_PUT_SCHEDULE = sa.insert(tables.schedules)
_DROP_OCCURRENCES = sa.delete(tables.occurrences).where(tables.occurrences.c.schedule == _ID)
_PUT_OCCURRENCE = sa.insert(tables.occurrences)
# one that was refused after all: the same, sent again, is tried again
_DROP_TAKEN = sa.delete(tables.taken).where(tables.taken.c.run == _ID)
_PUT_TAKEN = sa.insert(tables.taken)

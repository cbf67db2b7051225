"""What is read of runs, sweeps and schedules outside a write.

Only `hub.edge.store` and what belongs to it import this.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hub.core.once import Taken
from hub.core.planning import Planned
from hub.core.runs import DONE, Run, RunStage
from hub.core.schedules import Occurrence, Outcome, Schedule, Unrun
from hub.edge import rows, tables
from hub.edge.database import Database

NOT_DONE = [str(x) for x in RunStage if x not in DONE]
RUNS = sa.select(tables.runs)
SCHEDULES = sa.select(tables.schedules)
_OCCURRENCES = sa.select(tables.occurrences)
_TAKEN = sa.select(tables.taken)
_AT = tables.runs.c
_AFTER = tables.runs.alias("after_run")
_PLANNED = sa.select(
    _AT.id, _AT.user, _AT.asked_at, _AT.not_before, _AT.after, _AT.schedule, _AT.slot,
    _AFTER.c.stage,
).select_from(
    tables.runs.outerjoin(_AFTER, sa.and_(_AT.after != "", _AFTER.c.id == _AT.after))
).where(_AT.stage == str(RunStage.PLANNED))
RUN_STAGES = {str(x): x for x in RunStage}
_AT_ONCE = 1000  # ids in one statement; SQLite takes 32,766
_COUNTS = sa.select(_AT.stage, sa.func.count()).where(_AT.stage.in_(NOT_DONE)).group_by(_AT.stage)


def _newest(wanted: sa.Select[Any], limit: int, **only: str | None) -> sa.Select[Any]:
    """The newest `limit`; `only`: column → the value that it must have, None for any."""
    for name, value in only.items():
        wanted = wanted if value is None else wanted.where(_AT[name] == value)
    return wanted.order_by(_AT.asked_at.desc(), _AT.id.desc()).limit(limit)


def taken_in(c: sa.Connection, by: str, key: str) -> Taken | None:
    """What was made of the submission that had this key."""
    at = tables.taken.c
    found = c.execute(_TAKEN.where(at.by == by, at.key == key)).one_or_none()
    return None if found is None else rows.taken_of(found)


class Reads:
    """Each method is one snapshot."""

    _database: Database

    # ---- runs ----------------------------------------------------------------------------------

    def run(self, id_or_prefix: str, *, user: str | None = None) -> Run | None:
        """A run by its id, or by a prefix that only it has; `user`: among that person's."""
        at = tables.runs.c.id
        with self._database.begin() as c:
            among = RUNS if user is None else RUNS.where(tables.runs.c.user == user)
            found = c.execute(among.where(at == id_or_prefix)).all()
            if not found and id_or_prefix:
                like = among.where(at.startswith(id_or_prefix, autoescape=True))
                found = c.execute(like.limit(2)).all()
        return rows.run_of(found[0]) if len(found) == 1 else None

    def runs(
        self, *, user: str | None, limit: int = 100, stages: Collection[RunStage] | None = None,
        sweep: str | None = None, schedule: str | None = None,
        ended_since: datetime | None = None,
    ) -> list[Run]:
        """Runs, newest first; what is None leaves all of them: everybody's, in every stage."""
        wanted = _newest(RUNS, limit, user=user, sweep=sweep, schedule=schedule)
        if stages is not None:
            wanted = wanted.where(_AT.stage.in_([str(x) for x in stages]))
        if ended_since is not None:
            wanted = wanted.where(_AT.ended_at >= ended_since)
        with self._database.begin() as c:
            return [rows.run_of(x) for x in c.execute(wanted)]

    def run_heads(
        self, *, user: str | None, limit: int, sweep: str | None = None,
        schedule: str | None = None,
    ) -> list[tuple[str, str, RunStage]]:
        """(id, user, stage) of runs, newest first: a thirtieth of the cost of the whole."""
        heads = sa.select(_AT.id, _AT.user, _AT.stage)
        wanted = _newest(heads, limit, user=user, sweep=sweep, schedule=schedule)
        with self._database.begin() as c:
            return [(id, owner, RUN_STAGES[stage]) for id, owner, stage in c.execute(wanted)]

    def runs_by_id(self, ids: Sequence[str]) -> dict[str, Run]:
        """The runs of these ids, as far as there are any."""
        found: dict[str, Run] = {}
        with self._database.begin() as c:
            for i in range(0, len(ids), _AT_ONCE):
                wanted = RUNS.where(_AT.id.in_(ids[i:i + _AT_ONCE]))
                found |= {x.id: x for x in map(rows.run_of, c.execute(wanted))}
        return found

    def took(self, run: Run, count: int) -> list[timedelta]:
        """How long the last `count` runs like it took that went well: person, notebook, profile."""
        wanted = sa.select(_AT.started_at, _AT.ended_at).where(
            _AT.user == run.user, _AT.notebook == run.notebook, _AT.profile == run.profile,
            _AT.stage == str(RunStage.SUCCEEDED), _AT.started_at.is_not(None),
        ).order_by(_AT.asked_at.desc()).limit(count)
        with self._database.begin() as c:
            return [ended - started for started, ended in c.execute(wanted)]

    def who_ended(self, since: datetime, until: datetime) -> set[str]:
        """Whose runs ended in [since, until)."""
        # "not in": for an "in" SQLite takes the index of stages, which is the whole history
        wanted = sa.select(_AT.user).distinct().where(
            _AT.ended_at >= since, _AT.ended_at < until, _AT.stage.not_in(NOT_DONE)
        )
        with self._database.begin() as c:
            return set(c.scalars(wanted))

    def run_counts(self) -> dict[RunStage, int]:
        """How many runs have not ended, by stage."""
        with self._database.begin() as c:
            return {RunStage(stage): count for stage, count in c.execute(_COUNTS)}

    def planned(self) -> tuple[list[Planned], dict[str, RunStage]]:
        """All planned runs, and the stages of those that some of them come after."""
        found, stages = [], {}
        with self._database.begin() as c:
            for *one, stage in c.execute(_PLANNED):
                found.append(Planned(*one))
                if stage and RunStage(stage) in DONE:
                    stages[found[-1].after] = RunStage(stage)
        return found, stages

    def inputs_in_use(self) -> set[str]:
        """Under which ids the inputs of runs are kept that have not ended."""
        wanted = sa.select(_AT.id, _AT.sweep).where(_AT.stage.in_(NOT_DONE))
        with self._database.begin() as c:
            return {x for row in c.execute(wanted) for x in row if x}

    def sweeps(self, *, user: str | None, limit: int = 100) -> list[tuple[Run, int]]:
        """For each stage of each sweep one of its runs, and how many; newest sweeps first."""
        first = sa.func.min(_AT.asked_at)
        newest = sa.select(_AT.sweep).where(_AT.sweep != "")
        newest = newest if user is None else newest.where(_AT.user == user)
        newest = newest.group_by(_AT.sweep).order_by(first.desc(), _AT.sweep).limit(limit)
        with self._database.begin() as c:
            ids = list(c.scalars(newest))
            counted = c.execute(
                sa.select(sa.func.min(_AT.id), sa.func.count()).where(_AT.sweep.in_(ids))
                .group_by(_AT.sweep, _AT.stage)
            ).all()
            wanted = RUNS.where(_AT.id.in_([x for x, _ in counted]))
            found = {x.id: x for x in map(rows.run_of, c.execute(wanted))}
        made = [(found[id], count) for id, count in counted]
        return sorted(made, key=lambda x: ids.index(x[0].sweep))

    def taken(self, by: str, key: str) -> Taken | None:
        """What was made of the submission that had this key."""
        with self._database.begin() as c:
            return taken_in(c, by, key)

    # ---- schedules -----------------------------------------------------------------------------

    def schedule(self, id: str, *, user: str | None = None) -> Schedule | None:
        """A schedule by its id; `user`: among that person's."""
        at = tables.schedules.c
        wanted = SCHEDULES.where(at.id == id)
        wanted = wanted if user is None else wanted.where(at.user == user)
        with self._database.begin() as c:
            found = c.execute(wanted).mappings().one_or_none()
        return None if found is None else rows.schedule_of(found)

    def schedules(
        self, *, user: str | None = None, source: str | None = None
    ) -> list[Schedule]:
        """Schedules by name; `user` None: of everybody."""
        at = tables.schedules.c
        wanted = SCHEDULES if user is None else SCHEDULES.where(at.user == user)
        wanted = wanted if source is None else wanted.where(at.source == source)
        with self._database.begin() as c:
            found = [rows.schedule_of(x) for x in c.execute(wanted).mappings()]
        # sorted here: the two databases collate Korean differently
        return sorted(found, key=lambda x: (x.name, x.id))

    def due(self, now: datetime) -> list[Schedule]:
        """Schedules whose next slot has come."""
        at = tables.schedules.c
        wanted = SCHEDULES.where(at.paused.is_(False), at.next_at <= now).order_by(at.next_at)
        with self._database.begin() as c:
            return [rows.schedule_of(x) for x in c.execute(wanted).mappings()]

    def occurrences(self, schedule: str, *, limit: int = 20) -> list[Occurrence]:
        """What became of a schedule's slots, newest first."""
        at = tables.occurrences.c
        wanted = _OCCURRENCES.where(at.schedule == schedule)
        with self._database.begin() as c:
            found = c.execute(wanted.order_by(at.at.desc(), at.slot.desc()).limit(limit)).mappings()
            return [rows.occurrence_of(x) for x in found]

    def unrun(
        self, since: datetime, until: datetime, *, user: str | None = None
    ) -> list[Unrun]:
        """Slots that came to nothing in [since, until), newest first; `user` None: everybody's."""
        at = tables.occurrences.c
        wanted = _OCCURRENCES.where(
            at.made_at >= since, at.made_at < until, at.outcome != str(Outcome.RUN)
        ).order_by(at.made_at.desc(), at.slot.desc(), at.schedule)
        with self._database.begin() as c:
            seen = [rows.occurrence_of(x) for x in c.execute(wanted).mappings()]
            own = SCHEDULES.where(tables.schedules.c.id.in_({x.schedule for x in seen}))
            own = own if user is None else own.where(tables.schedules.c.user == user)
            its = [rows.schedule_of(x) for x in c.execute(own).mappings()] if seen else []
        known = {x.id: x for x in its}
        return [Unrun(known[x.schedule], x) for x in seen if x.schedule in known]

"""The store: where hub, service and command line meet. One write transaction is the lock.

SQLite: WAL, BEGIN IMMEDIATE, `synchronous=FULL`: with NORMAL a power cut takes back commits that
somebody was already told of (a run accepted, then unheard of); the price is one fsync per change.
PostgreSQL: one advisory lock per transaction. A write writes only what changed, so a tick that
changes nothing writes nothing. The state is kept in memory and read again only where another
process has changed it (`states`); its mappings are shared by all, so nobody may change them.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TypeVar

import sqlalchemy as sa

from hub.core.nouns import Lease, Limits, Stage, State
from hub.core.once import Taken
from hub.core.roster import Member, Role
from hub.core.rules import House, Rules
from hub.core.runs import Run
from hub.core.schedules import Occurrence, Schedule
from hub.edge import planned, rows, states, tables
from hub.edge.database import Database, told
from hub.edge.planned import Look
from hub.edge.runreads import Reads
from hub.edge.schema import Schema
from hub.edge.states import Kept
from hub.edge.writing import Batch, Turns

T = TypeVar("T")


@dataclass
class Unit:
    """One write transaction. Assign `state`; what differs from what was read is written at the end.

    `runs`: runs that are not done, by id; `members`: the roster. Read when first asked for. `look`:
    what is there of runs and schedules, without what this unit has put. `taken`: what was made of
    submissions that had a key.
    """

    state: State
    look: Look
    load_members: Callable[[], tuple[Member, ...]]
    changed_runs: dict[str, Run | None] = field(default_factory=dict)
    changed_schedules: dict[str, Schedule | None] = field(default_factory=dict)
    occurrences: list[Occurrence] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """The roster, by group and name."""
        return self.load_members()

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Runs that are not done, by id, and those that were put."""
        put = self.changed_runs
        found = {**self.look.runs(), **{k: x for k, x in put.items() if x is not None}}
        return {k: x for k, x in found.items() if put.get(k, x) is not None}

    def run(self, id: str) -> Run | None:
        """One run that is not done, or that was put; thousands may be planned beside it."""
        return self.changed_runs[id] if id in self.changed_runs else self.look.run(id)

    def put_run(self, run: Run) -> None:
        """Write this run, new or changed."""
        if "runs" in self.__dict__:
            self.runs[run.id] = run
        self.changed_runs[run.id] = run

    def drop_run(self, id: str) -> None:
        """Forget a run that never came to be (its request was refused)."""
        if "runs" in self.__dict__:
            self.runs.pop(id, None)
        self.changed_runs[id] = None

    def put_schedule(self, made: Schedule) -> None:
        """Write this schedule, new or changed."""
        self.changed_schedules[made.id] = made

    def drop_schedule(self, id: str) -> None:
        """Forget a schedule, and what became of its slots."""
        self.changed_schedules[id] = None

    def put_occurrence(self, seen: Occurrence) -> None:
        """Write what became of a slot; the write fails where the slot has had its turn."""
        self.occurrences.append(seen)


class Store(Reads):
    """Leases, slices, runs and the roster behind one SQLAlchemy URL. Any number of threads.

    Every method raises `Unavailable`, with what to do, where the database is gone, locked, full
    or not upgraded; nothing was changed then.
    """

    def __init__(
        self, url: str, *, limits: Limits = Limits(), rules: Rules = Rules(),  # noqa: B008 - frozen
    ) -> None:
        self._bare = State(limits=limits, house=House(rules))
        self._database = Database(url)
        self._schema = Schema(self._database)
        self._file = self._database.file
        self._turns = Turns()
        self._batch: Batch | None = None
        self._patience = 0.0
        self._loading = threading.Lock()
        self._kept: Kept | None = None
        self._members: tuple[str, tuple[Member, ...]] = ("", ())

    def close(self) -> None:
        """Let go of every connection."""
        self._database.close()

    def current(self) -> bool:
        """Whether the schema is the one that this code needs."""
        return self._schema.current()

    def upgrade(self) -> None:
        """Bring the schema up to date; any number of processes may do so at once.

        A SQLite file that holds something is copied to `<file>.before-<revision>` first.
        """
        self._schema.upgrade()

    # ---- leases and slices ---------------------------------------------------------------------

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[Unit]:
        """One write transaction; nobody else writes during it. An exception rolls it back.

        What is written is on the disk when it is left. Threads that come at the same time share a
        commit; `alone` shares it with nobody: for what takes long.

        Raises:
            IllegalStep: the new state would give a slice twice or an owner two open requests.
            RuntimeError: called inside another `write` of the same thread.
        """
        with self._writing(alone=alone) as batch:
            c, roster = batch.connection, batch.before.version.roster
            unit = Unit(batch.state, Look(c), lambda: self._roster(c, roster))
            yield unit
            batch.put(unit.state, lambda c: _save(c, unit))

    def read(self) -> State:
        """The state as last written; waits for nobody who writes."""
        # taken before the transaction begins, so it is never newer than what that sees
        known = self._kept
        with self._database.begin() as c:
            return self._look(c, known).state

    def lease(self, id: str) -> Lease | None:
        """A request or lease by its id, also an ended one."""
        with self._database.begin() as c:
            row = c.execute(_LEASES.where(tables.leases.c.id == id)).one_or_none()
        return None if row is None else rows.lease_of(row)

    def leases(self, *, limit: int = 100, user: str | None = None) -> list[Lease]:
        """Requests and leases, newest first, ended ones too."""
        at = tables.leases.c
        wanted = _LEASES.order_by(at.asked_at.desc(), at.id.desc()).limit(limit)
        wanted = wanted if user is None else wanted.where(at.user == user)
        with self._database.begin() as c:
            return [rows.lease_of(x) for x in c.execute(wanted)]

    def leases_between(
        self, begin: datetime, end: datetime, *, user: str | None = None
    ) -> list[Lease]:
        """Leases that held a slice at some time in [begin, end), first granted first."""
        at = tables.leases.c
        # two short indexes instead of one long scan: of those that hold there are few
        held = sa.or_(at.stage.in_(_HELD), at.draining_at > begin)
        wanted = _LEASES.where(held, at.granted_at < end).order_by(at.granted_at, at.id)
        wanted = wanted if user is None else wanted.where(at.user == user)
        with self._database.begin() as c:
            return [rows.lease_of(x) for x in c.execute(wanted)]

    def prune(self, oldest: datetime) -> None:
        """Forget what became of schedules' slots, and of keys, before `oldest`."""
        with self._writing(alone=True) as batch:
            batch.put(batch.state, lambda c: planned.prune(c, oldest))

    # ---- tables beside the state ---------------------------------------------------------------

    @contextmanager
    def beside(self) -> Iterator[sa.Connection]:
        """A snapshot of tables that are not of the state; only `courserows` asks."""
        with self._database.begin() as c:
            yield c

    def change_beside(self, work: Callable[[sa.Connection], T]) -> T:
        """One write transaction on them, all or nothing; what `work` returns."""
        found: list[T] = []
        with self._writing(alone=False) as batch:
            batch.put(batch.state, lambda c: found.append(work(c)))
        return found[0]

    # ---- the roster ----------------------------------------------------------------------------

    def members(self) -> list[Member]:
        """The roster, by group and name."""
        with self._database.begin() as c:
            return list(self._roster(c, states.version(c).roster))

    def set_members(self, members: Iterable[Member]) -> None:
        """Replace the whole roster."""
        new = [asdict(x) | {"role": str(x.role)} for x in members]

        def replace(c: sa.Connection) -> None:
            c.execute(sa.delete(tables.members))
            if new:
                c.execute(sa.insert(tables.members), new)

        with self._writing(alone=True) as batch:
            batch.put(batch.state, replace, roster=True)

    def _roster(self, c: sa.Connection, name: str) -> tuple[Member, ...]:
        known, found = self._members
        if name != known:
            found = _members(c)
            self._members = (name, found)
        return found

    # ---- transactions --------------------------------------------------------------------------

    @contextmanager
    def _writing(self, *, alone: bool) -> Iterator[Batch]:
        if self._turns.mine():
            raise RuntimeError("write() inside write(): the inner one would wait for the outer one")
        try:
            self._turns.take()
            batch = self._join(alone=alone)
            with told():
                yield batch
        except BaseException as e:
            if self._turns.mine() and not self._hand_on(alone=alone):
                self._end(e)
            raise
        if self._hand_on(alone=alone):
            batch.wait()
        else:
            self._end()

    def _join(self, *, alone: bool) -> Batch:
        """The transaction that the one before has left open, or a new one."""
        batch = self._batch
        if batch is not None and batch.open and not alone:
            return batch
        with suppress(Exception):  # told to those who wait for it
            self._commit()
        known = self._kept
        batch = Batch(self._database, lambda c: self._look(c, known), self._patience)
        self._batch = batch
        return batch

    def _hand_on(self, *, alone: bool) -> bool:
        """Whether somebody waits, who has the turn now and goes on with the transaction."""
        batch = self._batch
        may = batch is not None and batch.open and not batch.empty and not alone
        return may and self._turns.hand_on()

    def _end(self, error: BaseException | None = None) -> None:
        """End the transaction, then the turn; after an error of one, for the others in it."""
        try:
            if error is None:
                self._commit()
            elif self._batch is not None and not self._batch.empty:
                with suppress(Exception):  # told to those who wait for it
                    self._commit()
            elif self._batch is not None:
                self._batch.undo(error)
        finally:
            self._batch = None
            self._turns.end()

    def _commit(self) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.commit(self._keep)
            self._patience = batch.patience

    def _keep(self, committed: Kept) -> None:
        self._kept = committed

    def _look(self, c: sa.Connection, known: Kept | None) -> Kept:
        """The state that `c` sees; many who find an old one kept have it brought up once."""
        at = states.version(c)
        if known is not None and known.name == at.trail[0]:
            return known
        with self._loading:
            newest = self._kept
            found = states.load(c, at, self._bare, newest, known)
            # a reader whose transaction began long ago does not put the old state back
            if newest is None or at.trail[0] not in newest.version.trail:
                self._kept = found
        return found


_HELD = [str(Stage.GRANTED), str(Stage.RUNNING)]
_LEASES = sa.select(tables.leases)


def _members(c: sa.Connection) -> tuple[Member, ...]:
    at = tables.members.c
    all_rows = c.execute(sa.select(at.name, at.group, at.role)).all()
    found = [Member(name, group, Role(role)) for name, group, role in all_rows]
    # sorted here: the two databases collate Korean differently
    return tuple(sorted(found, key=lambda x: (x.group, x.name)))


def _save(c: sa.Connection, unit: Unit) -> None:
    planned.save_runs(c, unit.changed_runs)
    planned.save_schedules(c, unit.changed_schedules, unit.occurrences)
    planned.save_taken(c, unit.taken)

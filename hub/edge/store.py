"""The store: where hub, service and command line meet. One write transaction is the lock.

SQLite: WAL, BEGIN IMMEDIATE, `synchronous=FULL`: with NORMAL a power cut takes back commits that
somebody was already told of (a run accepted, then unheard of); the price is one fsync per change.
PostgreSQL: one advisory lock per transaction. A write reads the state first and writes only what
changed, so a tick that changes nothing writes nothing.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import IntegrityError

from hub.core.lease import Lease, Limits, Stage, State
from hub.core.roster import Member, Role
from hub.core.runs import DONE, Run, RunStage
from hub.edge import tables
from hub.edge.database import WAIT, Database
from hub.errors import IllegalStep, Unavailable

_LIVE = [str(x) for x in Stage if x not in (Stage.RELEASED, Stage.WITHDRAWN)]
_NOT_DONE = [str(x) for x in RunStage if x not in DONE]
# a slice or an owner must be given up in the table before the next one takes it: a unique index
# looks after every row, not at the end
_ORDER = {
    Stage.RELEASED: 0, Stage.WITHDRAWN: 0, Stage.DRAINING: 1, Stage.QUARANTINED: 1,
}


@dataclass
class Unit:
    """One write transaction. Assign `state`; what differs from what was read is written at the end.

    `runs`: runs that are not done, by id; read when first asked for.
    """

    state: State
    load_runs: Callable[[], dict[str, Run]]
    changed_runs: dict[str, Run | None] = field(default_factory=dict)

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Runs that are not done, by id."""
        return self.load_runs()

    def put_run(self, run: Run) -> None:
        """Write this run, new or changed."""
        self.runs[run.id] = run
        self.changed_runs[run.id] = run

    def drop_run(self, id: str) -> None:
        """Forget a run that never came to be (its request was refused)."""
        self.runs.pop(id, None)
        self.changed_runs[id] = None


class Store:
    """Leases, slices, runs and the roster behind one SQLAlchemy URL. Any number of threads.

    Every method raises `Unavailable`, with what to do, where the database is gone, locked, full
    or not upgraded; nothing was changed then.
    """

    def __init__(self, url: str, *, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self._limits = limits
        self._database = Database(url)
        self._file = self._database.file
        # threads of this process queue here: SQLite's own waiting is a poll that starves some
        self._turn = threading.Lock()
        self._writer: int | None = None

    def close(self) -> None:
        """Let go of every connection."""
        self._database.close()

    # ---- the schema ----------------------------------------------------------------------------

    def current(self) -> bool:
        """Whether the schema is the one that this code needs."""
        if self._file and not self._file.exists():
            return False
        with self._database.begin() as c:
            return _revision(c) == _head()

    def upgrade(self) -> None:
        """Bring the schema up to date; any number of processes may do so at once.

        A SQLite file that holds something is copied to `<file>.before-<revision>` first.
        """
        try:
            with self._alone():
                self._create_file()
                with self._database.begin(write=True) as c:
                    self._migrate(c)
        except OSError as e:
            raise Unavailable(
                "The database cannot be made ready: {error}.", reason="database", error=e
            ) from e

    def _migrate(self, c: sa.Connection) -> None:
        found = _revision(c)
        if found == _head():
            return
        if found and self._file:
            self._copy(Path(f"{self._file}.before-{_head()}"))
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = c
        command.upgrade(config, "head")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time makes or changes the SQLite file; PostgreSQL's lock does it there.

        The folder is locked, not the file: to open and close the database file beside SQLite would
        drop the locks that SQLite itself holds on it in this process.
        """
        if self._file is None:
            yield
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _create_file(self) -> None:
        if self._file is None:
            return
        if not self._file.exists():
            os.close(os.open(self._file, os.O_CREAT | os.O_WRONLY, 0o600))
        # kept in the file; asked for here only, because the change fails at once where others write
        with self._database.plain() as c:
            mode = c.exec_driver_sql("PRAGMA journal_mode=WAL").scalar()
        if mode != "wal":
            raise Unavailable(
                "SQLite cannot be shared on this file system ({path}); put the data folder on a "
                "local disk.", reason="database", path=self._file,
            )

    def _copy(self, target: Path) -> None:
        # SQLite's own copy: a plain one would miss what is still in the -wal file
        part = target.with_name(target.name + ".part")
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600))
        try:
            with self._database.plain() as c:
                c.exec_driver_sql("VACUUM INTO ?", (str(part),))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    # ---- leases and slices ---------------------------------------------------------------------

    @contextmanager
    def write(self) -> Iterator[Unit]:
        """One write transaction; nobody else writes during it. An exception rolls it back.

        Raises:
            IllegalStep: the new state would give a slice twice or an owner two open requests.
            RuntimeError: called inside another `write` of the same thread.
        """
        with self._my_turn(), self._database.begin(write=True) as c:
            before = self._load(c)
            unit = Unit(before, lambda: _runs(c))
            yield unit
            _save(c, before, unit)

    def read(self) -> State:
        """The state as last written; waits for nobody."""
        with self._database.begin() as c:
            return self._load(c)

    def lease(self, id: str) -> Lease | None:
        """A request or lease by its id, also an ended one."""
        with self._database.begin() as c:
            row = c.execute(_LEASES.where(tables.leases.c.id == id)).mappings().one_or_none()
        return None if row is None else tables.lease_of(row)

    def leases(self, *, limit: int = 100, user: str | None = None) -> list[Lease]:
        """Requests and leases, newest first, ended ones too."""
        at = tables.leases.c
        wanted = _LEASES.order_by(at.asked_at.desc(), at.id.desc()).limit(limit)
        wanted = wanted if user is None else wanted.where(at.user == user)
        with self._database.begin() as c:
            return [tables.lease_of(x) for x in c.execute(wanted).mappings()]

    # ---- runs ----------------------------------------------------------------------------------

    def run(self, id_or_prefix: str, *, user: str | None = None) -> Run | None:
        """A run by its id, or by a prefix that only it has; `user`: among that person's."""
        at = tables.runs.c.id
        with self._database.begin() as c:
            among = _RUNS if user is None else _RUNS.where(tables.runs.c.user == user)
            rows = c.execute(among.where(at == id_or_prefix)).mappings().all()
            if not rows and id_or_prefix:
                like = among.where(at.startswith(id_or_prefix, autoescape=True))
                rows = c.execute(like.limit(2)).mappings().all()
        return tables.run_of(rows[0]) if len(rows) == 1 else None

    def runs(
        self, *, user: str | None, limit: int = 100, stages: Collection[RunStage] | None = None
    ) -> list[Run]:
        """Runs, newest first; `user` None: of everybody; `stages` None: in every stage."""
        at = tables.runs.c
        wanted = _RUNS.order_by(at.asked_at.desc(), at.id.desc()).limit(limit)
        wanted = wanted if user is None else wanted.where(at.user == user)
        if stages is not None:
            wanted = wanted.where(at.stage.in_([str(x) for x in stages]))
        with self._database.begin() as c:
            return [tables.run_of(x) for x in c.execute(wanted).mappings()]

    # ---- the roster ----------------------------------------------------------------------------

    def members(self) -> list[Member]:
        """The roster, by group and name."""
        at = tables.members.c
        with self._database.begin() as c:
            rows = c.execute(sa.select(at.name, at.group, at.role)).all()
        # sorted here: the two databases collate Korean differently
        found = [Member(name, group, Role(role)) for name, group, role in rows]
        return sorted(found, key=lambda x: (x.group, x.name))

    def set_members(self, members: Iterable[Member]) -> None:
        """Replace the whole roster."""
        rows = [asdict(x) | {"role": str(x.role)} for x in members]
        with self._my_turn(), self._database.begin(write=True) as c:
            c.execute(sa.delete(tables.members))
            if rows:
                c.execute(sa.insert(tables.members), rows)

    # ---- transactions --------------------------------------------------------------------------

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self._writer == threading.get_ident():
            raise RuntimeError("write() inside write(): the inner one would wait for the outer one")
        if not self._turn.acquire(timeout=WAIT):
            raise Unavailable("The database is busy; try again in a moment.", reason="busy")
        self._writer = threading.get_ident()
        try:
            yield
        finally:
            self._writer = None
            self._turn.release()

    def _load(self, c: sa.Connection) -> State:
        live = _LEASES.where(tables.leases.c.stage.in_(_LIVE))
        found = [tables.lease_of(x) for x in c.execute(live).mappings().all()]
        seen = [tables.slice_of(x) for x in c.execute(_SLICES).all()]
        return State({s.key: s for s in seen}, {x.id: x for x in found}, self._limits)


_MIGRATIONS = Path(__file__).parent / "migrations"
_SLICES = sa.select(tables.slices)
_LEASES = sa.select(tables.leases)
_RUNS = sa.select(tables.runs)


def _revision(c: sa.Connection) -> str | None:
    return MigrationContext.configure(c).get_current_revision()


@cache
def _head() -> str:
    return str(ScriptDirectory(str(_MIGRATIONS)).get_current_head())


def _runs(c: sa.Connection) -> dict[str, Run]:
    rows = c.execute(_RUNS.where(tables.runs.c.stage.in_(_NOT_DONE))).mappings()
    return {x["id"]: tables.run_of(x) for x in rows}


def _save(c: sa.Connection, before: State, unit: Unit) -> None:
    try:
        _put(c, tables.slices, tables.slice_row, before.slices, unit.state.slices)
        _drop(c, before, unit.state)
        leases = sorted(unit.state.leases.items(), key=lambda x: _ORDER.get(x[1].stage, 2))
        _put(c, tables.leases, tables.lease_row, before.leases, dict(leases))
        for id, run in unit.changed_runs.items():
            c.execute(sa.delete(tables.runs).where(tables.runs.c.id == id))
            if run is not None:
                c.execute(sa.insert(tables.runs), tables.run_row(run))
    except IntegrityError as e:
        raise IllegalStep(f"the store refuses this state: {e.orig}; written: {e.params}") from e


def _put(
    c: sa.Connection, table: sa.Table, row: Callable[[Any], dict[str, Any]],
    before: Mapping[Any, Any], after: Mapping[Any, Any],
) -> None:
    """Write what is new or changed; `before` and `after` have the same keys for the same rows."""
    changed = [row(x) for k, x in after.items() if k in before and before[k] != x]
    new = [row(x) for k, x in after.items() if k not in before]
    if changed:
        # a column's name cannot be a parameter's name in an UPDATE, so the key's are renamed
        keys = [x.name for x in table.primary_key]
        same = [table.c[k] == sa.bindparam(f"key_{k}") for k in keys]
        rest: dict[str, Any] = {
            x.name: sa.bindparam(f"new_{x.name}") for x in table.c if x.name not in keys
        }
        c.execute(sa.update(table).where(*same).values(rest), [
            {f"key_{k}" if k in keys else f"new_{k}": v for k, v in x.items()} for x in changed
        ])
    if new:
        c.execute(sa.insert(table), new)


def _drop(c: sa.Connection, before: State, after: State) -> None:
    """Slices may be forgotten; a lease that is simply not there any more is a fault of ours."""
    if lost := before.leases.keys() - after.leases.keys():
        raise IllegalStep(f"leases vanished from the state: {sorted(lost)}")
    at = tables.slices.c
    for k in before.slices.keys() - after.slices.keys():
        c.execute(sa.delete(tables.slices).where(
            at.node == k.node, at.gpu == k.gpu, at.profile == k.profile, at.start == k.start
        ))

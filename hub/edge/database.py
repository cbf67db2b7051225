"""Transactions on SQLite and PostgreSQL, and what their failures mean for people.

Only `hub.edge.store` imports this.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import (
    TimeoutError as NoConnection,
)

from hub.errors import BadInput, Unavailable

WAIT = 30  # seconds that a writer waits for the one before it
_POLL = 0.0005  # seconds between two tries of a writer on SQLite
_LOCK = 0x6D6164616E67  # "madang": the advisory lock of writers, and of migrations


class Database:
    """Connections to one database. `file` is SQLite's, None for PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        at = self._engine.url
        self.file = Path(str(at.database)) if at.get_backend_name() == "sqlite" else None
        # never for a writer: its snapshot would be taken while it still waits for the lock
        level = {} if self.file else {"isolation_level": "REPEATABLE READ"}
        self._read = self._engine.execution_options(**level)
        self._write = self._engine.execution_options(madang_write=True)

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    @contextmanager
    def begin(self, *, write: bool = False) -> Iterator[sa.Connection]:
        """A transaction: the only writer's, or a snapshot that all its SELECTs share.

        Raises:
            Unavailable: the database is gone, locked, full or not upgraded; nothing was changed.
        """
        with told(), (self._write if write else self._read).connect() as c, c.begin():
            if self.file is None and write:
                c.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT}s'")
                c.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield c

    @contextmanager
    def plain(self) -> Iterator[sa.Connection]:
        """A connection outside any transaction, for what SQLite does not do inside one."""
        options = {"isolation_level": "AUTOCOMMIT"}
        with told(), self._engine.connect().execution_options(**options) as c:
            yield c


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
    except SQLAlchemyError as e:
        raise BadInput(
            "The setting database is no SQLAlchemy URL: {error}", reason="config", error=e
        ) from e
    if backend == "postgresql":
        # a server that was restarted must not fail the next request: ask before use
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_timeout=WAIT,
            max_overflow=20, connect_args={"connect_timeout": 5},
        )
    if backend != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise BadInput(
            "The setting database must be sqlite:///… with a file, or postgresql+psycopg://…",
            reason="config",
        )
    engine = sa.create_engine(
        parsed, pool_timeout=WAIT, max_overflow=20, connect_args={"timeout": WAIT},
    )
    sa.event.listen(engine, "connect", _sqlite_connected)
    sa.event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connected(connection: Any, _record: object) -> None:
    # the driver begins by itself, late and deferred: of two readers that then want to write one
    # fails at once, whatever its time-out. So the driver's control is off: `_sqlite_begin` begins
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")


def _sqlite_begin(c: sa.Connection) -> None:
    options = c.get_execution_options()
    if options.get("madang_write"):
        _sqlite_lock(c)
    elif options.get("isolation_level") != "AUTOCOMMIT":
        c.exec_driver_sql("BEGIN")


def _sqlite_lock(c: sa.Connection) -> None:
    """Begin as the only writer. SQLite's own waiting sleeps longer each time, up to 0.1 s.

    Of two busy processes one was left waiting so for more than a second.
    """
    raw: Any = c.connection.driver_connection
    raw.execute("PRAGMA busy_timeout=0")
    try:
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            try:
                raw.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as e:
                if e.sqlite_errorname != "SQLITE_BUSY":
                    break
            else:
                return
            time.sleep(_POLL)
        c.exec_driver_sql("BEGIN IMMEDIATE")  # fails as the others do: in SQLAlchemy's words
    finally:
        raw.execute(f"PRAGMA busy_timeout={int(WAIT * 1000)}")


# ---- failures ------------------------------------------------------------------------------------

_NOT_READY = "The database is not ready: run `madang database upgrade` on the host."
_FULL = (
    "The disk with the database is full; nothing was changed. "
    "The operator must free space on it: `madang doctor` shows where."
)
_BUSY = "The database is busy; try again in a moment."
_READ_ONLY = (
    "The database cannot be opened for writing; the operator must look at the owner of its file "
    "and at the disk."
)
_DAMAGED = "The database file is damaged; the operator must put a backup in its place."
_GONE = "The database does not answer ({error}); try again in a moment."

# SQLite names its errors (with details of one cause behind: SQLITE_READONLY_DBMOVED), PostgreSQL
# gives an SQLSTATE. SQLITE_IOERR_WRITE is a limit on the file's size or a quota
_MEANS = {
    "SQLITE_FULL": (_FULL, "disk-full"), "SQLITE_IOERR_WRITE": (_FULL, "disk-full"),
    "53100": (_FULL, "disk-full"),
    "SQLITE_BUSY": (_BUSY, "busy"), "SQLITE_LOCKED": (_BUSY, "busy"), "55P03": (_BUSY, "busy"),
    "SQLITE_READONLY": (_READ_ONLY, "database"), "SQLITE_CANTOPEN": (_READ_ONLY, "database"),
    "25006": (_READ_ONLY, "database"), "42501": (_READ_ONLY, "database"),
    "SQLITE_CORRUPT": (_DAMAGED, "database"), "SQLITE_NOTADB": (_DAMAGED, "database"),
    "42P01": (_NOT_READY, "database"), "42703": (_NOT_READY, "database"),
}


@contextmanager
def told() -> Iterator[None]:
    """Failures of the database as `Unavailable`; faults of ours (SQL, values) as they are."""
    try:
        yield
    except NoConnection as e:
        raise Unavailable(_BUSY, reason="busy", detail=str(e)) from e
    except DBAPIError as e:
        raise _meaning(e) from e


def _meaning(error: DBAPIError) -> Exception:
    cause = error.orig
    text = " ".join(str(cause).split()) or type(cause).__name__
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    if any(x in text for x in ("no such table", "no such column", "has no column")):
        code = "42P01"
    for known, (message, reason) in _MEANS.items():
        if code.startswith(known):
            return Unavailable(message, reason=reason, detail=text)
    ours = isinstance(error, DataError | IntegrityError)
    if ours or not isinstance(error, OperationalError | InterfaceError):
        return error
    return Unavailable(_GONE, reason="database", error=text)

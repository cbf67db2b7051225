"""The schema of the database: whether it is the one that this code needs, and how it becomes so.

Only `hub.edge.store` imports this.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hub.edge import states
from hub.edge.database import Database
from hub.errors import Unavailable


class Schema:
    """The schema of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._file = database.file

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
        states.forget(c)

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


_MIGRATIONS = Path(__file__).parent / "migrations"


def _revision(c: sa.Connection) -> str | None:
    return MigrationContext.configure(c).get_current_revision()


@cache
def _head() -> str:
    return str(ScriptDirectory(str(_MIGRATIONS)).get_current_head())

"""Copies of databases that are in use: SQLite by its own backup, PostgreSQL by pg_dump."""

import os
import sqlite3
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from hub.errors import Unavailable


def sqlite(source: Path, target: Path) -> None:
    """A whole copy of `source` at `target` (mode 600), also while others write to it.

    Raises:
        Unavailable: it cannot be read, or the target not be written.
    """
    aside = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(aside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600))
        before, after = sqlite3.connect(f"file:{source}?mode=ro", uri=True), sqlite3.connect(aside)
        try:
            before.backup(after)
        finally:
            after.close()
            before.close()
        aside.replace(target)
    except (OSError, sqlite3.Error) as e:
        raise _failed(source.name, e) from e
    finally:
        aside.unlink(missing_ok=True)


def postgresql(url: str, target: Path) -> None:
    """A dump of the database at `url` (SQLAlchemy's form) in pg_dump's custom format, mode 600.

    Raises:
        Unavailable: pg_dump is missing or refuses.
    """
    # pg_dump's own variables: an argument with the password would stand in everybody's `ps`
    found = urlsplit(url)
    given = {
        "PGHOST": found.hostname, "PGPORT": str(found.port or ""), "PGUSER": found.username,
        "PGPASSWORD": found.password, "PGDATABASE": found.path.lstrip("/"),
        **{f"PG{k.upper()}": v for k, v in parse_qsl(found.query)},
    }
    env = {**os.environ, **{k: unquote(v) for k, v in given.items() if v}}
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(target, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            subprocess.run(["pg_dump", "--format=custom"], env=env, stdout=file,
                           stderr=subprocess.PIPE, check=True)
    except OSError as e:
        raise _failed("PostgreSQL", e) from e
    except subprocess.CalledProcessError as e:
        target.unlink(missing_ok=True)
        raise _failed("PostgreSQL", e.stderr.decode(errors="replace").strip()) from e


def _failed(what: str, why: object) -> Unavailable:
    return Unavailable("No backup of {what} was made: {why}", reason="backup", what=what, why=why)

"""A real PostgreSQL of a test's own: a cluster in a temporary folder, on a Unix socket only."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg


class Postgres:
    """A cluster that can be stopped and started; `close()` leaves no process and no file."""

    def __init__(self) -> None:
        self._bin = _programs()
        # a short path: a socket's is at most 107 bytes
        self.folder = Path(tempfile.mkdtemp(prefix="madang-pg-", dir="/tmp"))
        self._server: subprocess.Popen[bytes] | None = None
        self._count = 0
        # the server refuses root
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            owner = pwd.getpwnam(self._user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self._call(
            "initdb", "-D", str(self.folder / "data"), "-A", "trust", "-U", "madang", "-E", "UTF8",
            "--locale=C.UTF-8", "--no-sync", "--no-instructions",
        )

    def start(self) -> None:
        """Run the server until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    self._bin / "postgres", "-D", self.folder / "data", "-k", self.folder,
                    "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB",
                ],
                stdout=log, stderr=log, **self._as_owner(),
            )
        end = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._dsn("postgres")).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > end or self._server.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once; clients lose their connections."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(30)
            self._server = None

    def close(self) -> None:
        """Stop it and delete the cluster."""
        self.stop()
        shutil.rmtree(self.folder)

    def create(self) -> str:
        """An empty schema (a database takes half a second to make); its SQLAlchemy URL."""
        self._count += 1
        name = f"t{self._count}"
        self._say(f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}&options=-csearch_path%3D{name}"

    def drop(self, url: str) -> None:
        """Delete what `create` made."""
        self._say(f"DROP SCHEMA {url.rpartition('%3D')[2]} CASCADE")

    def create_on(self, folder: Path) -> str:
        """A whole database in a folder of its own, for a disk of its own; its SQLAlchemy URL."""
        if self._user:
            shutil.chown(folder, self._user, self._user)
        self._say(f"CREATE TABLESPACE elsewhere LOCATION '{folder}'")
        self._say("CREATE DATABASE elsewhere TABLESPACE elsewhere")
        return self.url("elsewhere")

    def drop_elsewhere(self) -> None:
        """Delete what `create_on` made."""
        self._say("DROP DATABASE elsewhere WITH (FORCE)")
        self._say("DROP TABLESPACE elsewhere")

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database of this cluster."""
        return f"postgresql+psycopg://madang@/{database}?host={self.folder}"

    def _say(self, text: str) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as c:
            c.execute(text.encode())

    def _dsn(self, name: str) -> str:
        return f"host={self.folder} user=madang dbname={name}"

    def _call(self, program: str, *args: str) -> None:
        done = subprocess.run(
            [self._bin / program, *args], capture_output=True, text=True, check=False,
            **self._as_owner(),
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def _as_owner(self) -> dict[str, object]:
        if not self._user:
            return {}
        group = pwd.getpwnam(self._user).pw_gid
        return {"user": self._user, "group": group, "extra_groups": [], "cwd": self.folder}


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent

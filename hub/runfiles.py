"""What the host keeps of runs and schedules: their input, logs, results. Homes are not touched."""

import json
import logging
import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from hub.config import Settings
from hub.core import told
from hub.errors import Refusal

log = logging.getLogger("madang.runfiles")
_NOTEBOOK, _SNAPSHOT, _OUTPUT, _RECORD = (
    "input.ipynb", "input.tar.gz", "output.ipynb", "run.json",
)


class Inputs:
    """`<root>/<id>/` with a notebook and perhaps its folder, readable by root only."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self._root = root
        self._most = settings.notebook_mib << 20
        self._most_packed = settings.snapshot_mib << 20

    def put_input(self, id: str, notebook: Mapping[str, Any], snapshot: bytes = b"") -> None:
        """Keep a notebook that is to run, in place of what was there; `snapshot` is a tar.gz.

        Raises:
            Refusal: one of them is too large (413).
            OSError: it cannot be written; nothing new is left.
        """
        text = json.dumps(notebook).encode()
        # a letter beyond ASCII is six here: what was sent had two or three for it
        if len(text) > self._most and _plain(notebook) > self._most:
            raise _too_large("The notebook has more than {most} MiB. Clear its outputs first.",
                             self._most)
        if len(snapshot) > self._most_packed:
            raise _too_large(
                "The notebook's folder has more than {most} MiB packed. Take large data out of it, "
                "or send the notebook alone.", self._most_packed,
            )
        folder = self.folder(id)
        fresh = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            _replace(folder / _NOTEBOOK, text)
            if snapshot:
                _replace(folder / _SNAPSHOT, snapshot)
            else:
                (folder / _SNAPSHOT).unlink(missing_ok=True)
        except OSError:
            if fresh:
                self.forget(id)
            raise

    def copy_input(self, id: str, source: "Inputs", of: str) -> None:
        """The same input as another's; both are the same file on the disk, and never changed.

        Raises:
            OSError: there is none, or it cannot be written; nothing is left.
        """
        folder = self.folder(id)
        folder.mkdir(parents=True, mode=0o700)
        try:
            os.link(source.folder(of) / _NOTEBOOK, folder / _NOTEBOOK)
            with suppress(FileNotFoundError):
                os.link(source.folder(of) / _SNAPSHOT, folder / _SNAPSHOT)
        except OSError:
            self.forget(id)
            raise

    def input(self, id: str) -> bytes:
        """The notebook as JSON text.

        Raises:
            FileNotFoundError: it is kept no more.
        """
        return (self.folder(id) / _NOTEBOOK).read_bytes()

    def snapshot(self, id: str) -> bytes:
        """The notebook's folder as a tar.gz; b"" where none was sent."""
        return _read(self.folder(id) / _SNAPSHOT) or b""

    def forget(self, id: str) -> None:
        """Nothing of this one is left."""
        shutil.rmtree(self.folder(id), ignore_errors=True)

    def prune(self, oldest: datetime, in_use: Collection[str]) -> None:
        """Delete what was of use last before `oldest`, but for these ids."""
        for folder in self._root.glob("*"):
            # not its files' times: an input is one file for all runs of a schedule
            if folder.name not in in_use and folder.stat().st_mtime < oldest.timestamp():
                shutil.rmtree(folder, ignore_errors=True)

    def folder(self, id: str) -> Path:
        """Where it is or would be."""
        return self._root / id


class RunFiles(Inputs):
    """`<data>/runs/<id>/`: also a log of each attempt, the output notebook and run.json.

    The runs of a sweep share the input of `<data>/runs/<sweep>/`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.data / "runs", settings)
        self._leases = settings.data / "logs" / "leases"
        self.schedules = Inputs(settings.data / "schedules", settings)

    def keep_log(self, id: str, attempt: int, text: bytes) -> None:
        """Keep what an attempt printed. Where the disk is full it is lost: its end matters more."""
        self._keep(self._log(id, attempt), text)

    def log(self, id: str, attempt: int) -> bytes | None:
        """What `keep_log` kept; None where there is nothing."""
        return _read(self._log(id, attempt))

    def keep_output(self, id: str, notebook: bytes | None, record: bytes | None) -> None:
        """Keep the output notebook and run.json, as far as there are any; lost as a log is."""
        for name, content in ((_OUTPUT, notebook), (_RECORD, record)):
            if content is not None:
                self._keep(self.folder(id) / name, content)

    def output(self, id: str) -> bytes | None:
        """The output notebook; None where there is none, or it was too large to keep."""
        return _read(self.folder(id) / _OUTPUT)

    def has_output(self, id: str) -> bool:
        """Whether there is an output notebook."""
        return (self.folder(id) / _OUTPUT).exists()

    def record(self, id: str) -> dict[str, Any]:
        """The run.json; empty where there is none."""
        return dict(told.record_of(_read(self.folder(id) / _RECORD)))

    def used(self, id: str) -> None:
        """What it has was of use just now: it goes no sooner than `keep_days` after this."""
        with suppress(OSError):
            os.utime(self.folder(id))

    def prune(self, oldest: datetime, in_use: Collection[str]) -> None:
        """The same, and the logs of containers."""
        super().prune(oldest, in_use)
        for path in self._leases.glob("*.log"):
            if path.stat().st_mtime < oldest.timestamp():
                path.unlink(missing_ok=True)

    def _keep(self, path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _replace(path, content)
        except OSError as e:
            log.warning("%s cannot be kept: %s", path, e)

    def _log(self, id: str, attempt: int) -> Path:
        return self.folder(id) / ("log" if attempt == 1 else f"log-{attempt}")


def _plain(notebook: Mapping[str, Any]) -> int:
    """Bytes as UTF-8."""
    return len(json.dumps(notebook, ensure_ascii=False).encode(errors="replace"))


def _too_large(text: str, most: int) -> Refusal:
    return Refusal(text, reason="too-large", status=413, most=most >> 20)


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, lastingly; one that another name shares is not changed."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a row of the store names it soon, which a power cut keeps
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None

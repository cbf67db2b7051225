"""What the host keeps of runs: the input until it has run, the log after. Homes are not touched."""

import json
import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

log = logging.getLogger("madang.runfiles")


class RunFiles:
    """`<data>/runs/<id>/` with `input.ipynb` and a log of each attempt, readable by root only."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def put_input(self, id: str, notebook: Mapping[str, Any]) -> None:
        """Keep the notebook that is to run.

        Raises:
            OSError: it cannot be written; nothing of it is left.
        """
        folder = self._folder(id)
        folder.mkdir(parents=True, mode=0o700)
        try:
            (folder / "input.ipynb").write_text(json.dumps(notebook))
        except OSError:
            self.forget(id)
            raise

    def input(self, id: str) -> bytes:
        """The notebook as JSON text."""
        return (self._folder(id) / "input.ipynb").read_bytes()

    def drop_input(self, id: str) -> None:
        """It has run, or will not."""
        (self._folder(id) / "input.ipynb").unlink(missing_ok=True)

    def keep_log(self, id: str, attempt: int, text: bytes) -> None:
        """Keep what an attempt printed. Where the disk is full it is lost: its end matters more."""
        try:
            self._folder(id).mkdir(parents=True, exist_ok=True, mode=0o700)
            self._log(id, attempt).write_bytes(text)
        except OSError as e:
            log.warning("the log of run %s cannot be kept: %s", id, e)

    def log(self, id: str, attempt: int) -> bytes | None:
        """What `keep_log` kept; None where there is nothing."""
        try:
            return self._log(id, attempt).read_bytes()
        except FileNotFoundError:
            return None

    def forget(self, id: str) -> None:
        """Nothing of this run is left."""
        shutil.rmtree(self._folder(id), ignore_errors=True)

    def prune(self, oldest: datetime) -> None:
        """Delete logs of runs and of containers that were written before `oldest`."""
        for path in (self._data / "logs" / "leases").glob("*.log"):
            _prune(path, oldest)
        for path in (self._data / "runs").glob("*/log*"):
            if _prune(path, oldest):
                # not where its input still lies: the run waits again
                with suppress(OSError):
                    path.parent.rmdir()

    def _log(self, id: str, attempt: int) -> Path:
        return self._folder(id) / ("log" if attempt == 1 else f"log-{attempt}")

    def _folder(self, id: str) -> Path:
        return self._data / "runs" / id


def _prune(path: Path, oldest: datetime) -> bool:
    """Whether the file was older, and is gone."""
    old = path.stat().st_mtime < oldest.timestamp()
    if old:
        path.unlink(missing_ok=True)
    return old

"""What the host keeps of runs: the input until it has run, the log after. Homes are not touched."""

import json
import logging
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

log = logging.getLogger("madang.runfiles")


class RunFiles:
    """`<data>/runs/<id>/` with `input.ipynb` and `log`, readable by root only."""

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

    def keep_log(self, id: str, text: bytes) -> None:
        """Keep what a run printed. Where the disk is full it is lost: how it ended matters more."""
        try:
            self._folder(id).mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._folder(id) / "log").write_bytes(text)
        except OSError as e:
            log.warning("the log of run %s cannot be kept: %s", id, e)

    def log(self, id: str) -> bytes | None:
        """What `keep_log` kept; None where there is nothing."""
        try:
            return (self._folder(id) / "log").read_bytes()
        except FileNotFoundError:
            return None

    def forget(self, id: str) -> None:
        """Nothing of this run is left."""
        shutil.rmtree(self._folder(id), ignore_errors=True)

    def prune(self, oldest: datetime) -> None:
        """Delete logs of runs and of containers that were written before `oldest`."""
        kept = (self._data / "logs" / "leases").glob("*.log")
        for path in [*(self._data / "runs").glob("*/log"), *kept]:
            if path.stat().st_mtime >= oldest.timestamp():
                continue
            path.unlink(missing_ok=True)
            if path.name == "log":
                shutil.rmtree(path.parent, ignore_errors=True)

    def _folder(self, id: str) -> Path:
        return self._data / "runs" / id

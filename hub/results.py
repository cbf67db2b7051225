"""What a run came to: its output notebook and run.json, copied out of its ended container.

Docker reads them, never a path of the host: a student's home may hold links to anywhere.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from hub.containers import HOME, output_of
from hub.core import told
from hub.core.runs import Run
from hub.edge.engine import Engine
from hub.runfiles import RunFiles

log = logging.getLogger("madang.results")
_RECORD_MOST = 4 << 20


class Results:
    """Copies results into `<data>/runs/<id>/`.

    Args:
        most: bytes of the largest output notebook that is copied.
    """

    def __init__(self, engine: Engine, files: RunFiles, most: int) -> None:
        self._engine = engine
        self._files = files
        self._most = most

    def keep(self, run: Run) -> Callable[[Run], Run]:
        """Copy what the run has written; how the run looks with that.

        Raises:
            Unknown: Docker gave no answer; nothing is lost, the container stays until it does.
        """
        folder = PurePosixPath(HOME) / run.folder
        text = self._engine.archive(run.lease_id, str(folder / "run.json"), _RECORD_MOST)
        record = told.record_of(text)
        if (record.get("id"), record.get("attempt")) != (run.id, run.attempt):
            return lambda r: r  # it never began, or an earlier attempt wrote this
        notebook = self._engine.archive(run.lease_id, str(folder / output_of(run)), self._most)
        if notebook is None:
            log.info("run %s: no output notebook of at most %d bytes", run.id, self._most)
        self._files.keep_output(run.id, notebook, text)
        said = told.told(record)
        return lambda r: replace(
            r, metrics=said.metrics, error=said.error, memory_peak_mib=said.memory_peak_mib,
            gpu_memory_peak_mib=said.gpu_memory_peak_mib,
        )

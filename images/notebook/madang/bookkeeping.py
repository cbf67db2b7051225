"""Papermill's bookkeeping made true: what each cell came to, and saves when they are due."""

# papermill, nbclient and nbformat have no types, or theirs are Any
# mypy: disable-error-code="misc, no-untyped-call, no-any-return"

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from papermill.engines import NotebookExecutionManager

from madang.ahead import Ahead
from madang.echo import Echo, plain
from madang.files import write_atomic
from madang.masking import Mask
from madang.stopping import Stop

SAVE_EVERY = 3.0  # seconds
_VALUE, _LINES, _LINE = 2000, 12, 300  # of an error: characters, lines, characters of a line


@dataclass
class Plan:
    """What an execution needs to know, and what came of it. Cells count from 1, as in the log."""

    output: Path
    stop: Stop
    echo: Echo
    deadline: float | None = None  # on time.monotonic's clock
    metadata: dict[str, Any] = field(default_factory=dict)
    notebook: NotebookNode | None = None
    cells: int = 0
    cells_done: int = 0
    cell: int = 0
    died: bool = False
    error: dict[str, Any] | None = None
    gpu_memory_peak_mib: int | None = None
    ended_itself: bool = False
    mask: Mask = field(default_factory=Mask)
    ahead: Ahead | None = None


class Manager(NotebookExecutionManager):
    """Papermill's bookkeeping: true statuses, and saves that are due, not asked for."""

    def __init__(self, nb: NotebookNode, plan: Plan) -> None:
        super().__init__(nb, progress_bar=False, autosave_cell_every=0)
        self.plan = plan
        self._dirty = False
        self._complained = False

    def notebook_start(self, **kwargs: Any) -> None:
        """Clear what an earlier run left, and write the notebook: it shows what will be run."""
        super().notebook_start(**kwargs)
        self.plan.cells = len(self.nb.cells)
        self.write()

    def cell_start(self, cell: NotebookNode, cell_index: int | None = None, **kwargs: Any) -> None:
        """Say which cell begins."""
        super().cell_start(cell, cell_index, **kwargs)
        self.plan.cell = (cell_index or 0) + 1
        self.plan.echo.say(f"cell {self.plan.cell}/{self.plan.cells}")

    def cell_complete(
        self, cell: NotebookNode, cell_index: int | None = None, **kwargs: Any
    ) -> None:
        """A cell is over, well or not."""
        super().cell_complete(cell, cell_index, **kwargs)
        self.plan.echo.end_cell()
        if cell.metadata.papermill["status"] == self.COMPLETED:
            self.plan.cells_done += 1

    def fail(self, cell: NotebookNode, ename: str, evalue: str) -> None:
        """A cell failed: mark it, keep why. What comes after it stays pending."""
        self.cell_exception(cell)
        mask = self.plan.mask  # before anything is cut: half a secret is not found any more
        self.plan.error = {
            "cell": self.plan.cell, "id": cell.get("id"), "ename": mask.text(ename),
            "evalue": mask.text(evalue)[:_VALUE], "lines": _last_lines(cell, mask),
        }

    def notebook_complete(self, **_: Any) -> None:
        """Times. Unlike papermill's: a pending cell stays pending, and the last save is later."""
        self.end_time = self.now()
        kept = self.nb.metadata.papermill
        kept["end_time"] = self.end_time.isoformat()
        kept["duration"] = (self.end_time - self.start_time).total_seconds()

    def save(self, **_: Any) -> None:
        """Papermill calls this around each cell; `autosave` decides."""
        self._dirty = True

    def autosave_cell(self, **_: Any) -> None:
        """Papermill calls this for each message; `autosave` decides."""
        self._dirty = True

    def write(self) -> None:
        """Write the notebook now, atomically.

        Raises:
            OSError: it cannot be written; the last good file is as it was.
        """
        self._dirty = False
        write_atomic(self.plan.output, nbformat.writes(self.plan.mask.notebook(self.nb)))

    async def autosave(self) -> None:
        """Save what changed, every few seconds, also under a cell that has gone silent."""
        pause = SAVE_EVERY
        while True:
            await asyncio.sleep(pause)
            if self._dirty:
                began = time.monotonic()
                self._try_to_write()
                # a notebook that takes a second to write must not cost a quarter of the run
                pause = max(SAVE_EVERY, 10 * (time.monotonic() - began))

    def _try_to_write(self) -> None:
        try:
            self.write()
        except OSError as e:
            self._dirty = True
            if not self._complained:
                self._complained = True
                self.plan.echo.say(f"warning the notebook cannot be saved just now: {e.strerror}")


def _last_lines(cell: NotebookNode, mask: Mask) -> list[str]:
    """The end of the cell's last traceback, for whoever reads of it in a report."""
    errors = [x for x in cell.get("outputs", ()) if x.output_type == "error"]
    text = mask.text(plain("\n".join(errors[-1].traceback))) if errors else ""
    return [x[:_LINE] for x in text.splitlines() if x.strip()][-_LINES:]

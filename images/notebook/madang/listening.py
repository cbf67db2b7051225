"""What the kernel says of a cell, as it comes: into the notebook, and into the run's log."""

# papermill, nbclient and nbformat have no types, or theirs are Any
# mypy: disable-error-code="misc, no-untyped-call, no-any-return"

import queue
import time
from contextlib import suppress
from typing import Any

from nbclient.exceptions import CellExecutionComplete
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient

from madang.bookkeeping import Manager, Plan
from madang.echo import settle
from madang.progress import told

PIECE = 1 << 16  # characters of a stream's text in one output
_LATE, _LATE_MOST = 0.05, 1.0  # seconds of silence, and in all, after the last cell


class Listener(PapermillNotebookClient):
    """nbclient's ear, which also hears what comes late."""

    nb_man: Manager
    plan: Plan
    ended = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heard: dict[str, tuple[NotebookNode, int]] = {}  # by the message that ran the cell

    def taken_up(self) -> None:
        """The kernel has begun a cell's code."""

    async def _async_poll_output_msg(
        self, parent_msg_id: str, cell: NotebookNode, cell_index: int
    ) -> None:
        """Take a cell's output to its end, and what comes late of the cells before.

        What a task prints that an earlier cell has started is that cell's, as in Lab.
        """
        self._heard[parent_msg_id] = cell, cell_index
        assert self.kc is not None
        while not self.ended:
            msg = await self.kc.iopub_channel.get_msg(timeout=None)
            if msg["parent_header"].get("msg_id") != parent_msg_id:
                self._take_late(msg)
                continue
            with suppress(CellExecutionComplete):
                self.process_message(msg, cell, cell_index)

    async def late(self) -> None:
        """Take what is late of the last cell.

        What a program writes that a cell has started is read by a thread of the kernel, which may
        come to it only after the cell has ended.
        """
        assert self.kc is not None
        end = time.monotonic() + _LATE_MOST  # what a thread goes on printing has no end
        with suppress(queue.Empty):
            while (left := end - time.monotonic()) > 0 and not self.plan.stop.cause:
                self._take_late(await self.kc.iopub_channel.get_msg(timeout=min(_LATE, left)))

    def _take_late(self, msg: dict[str, Any]) -> None:
        found = self._heard.get(msg["parent_header"].get("msg_id", ""))
        if found is not None and msg["msg_type"] == "stream":
            self.process_message(msg, *found)
            self.plan.echo.flush()

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """Take one message."""
        if msg["msg_type"] == "execute_input":
            self.taken_up()
        if msg["msg_type"] == "status":
            self.ended = msg["content"]["execution_state"] == "idle"
        out = super().process_message(msg, cell, cell_index)
        steps = told(msg)
        if steps is not None:
            self.plan.echo.progress(*steps)
        elif out is not None:
            self._echo(out)
        return out

    def output(self, outs: list[NotebookNode], *args: Any) -> NotebookNode | None:
        """Join a stream's text to what it wrote just before, as Lab does.

        nbclient's `coalesce_streams` does so when the cell ends: until then 3000 refreshes of a
        progress bar are 3000 outputs, in memory and in each save; and it moves text across plots.
        """
        out = super().output(outs, *args)
        before = outs[-2] if outs[1:] and outs[-1] is out else None
        if before is None or not out.output_type == before.output_type == "stream":
            return out
        # growing one text by a line at a time costs the square of it; a full one begins another
        full = len(before.text) >= PIECE and before.text.endswith("\n")
        if before.name == out.name and not full:
            head, end, tail = before.text.rpartition("\n")
            before.text = head + end + settle(tail + out.text)
            outs.pop()
        return out

    def _echo(self, out: NotebookNode) -> None:
        echo = self.plan.echo
        if out.output_type == "stream":
            echo.stream(out.name, out.text)
        elif out.output_type == "error":
            echo.error(out.traceback, f"{out.ename}: {out.evalue}")
        elif "text/plain" in out.get("data", {}):
            echo.value("".join(out.data["text/plain"]))

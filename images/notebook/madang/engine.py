"""Papermill's engine with a truthful end.

Stock papermill 2.7 marks every cell `completed` when the kernel dies, a cell times out or the run
is interrupted, saves with a plain write at every cell, and dies of SIGTERM without saving. Here a
cell has the status it earned, a save is atomic and happens when something changed and some
seconds have passed (bookkeeping.py), and a stop reaches the notebook as KeyboardInterrupt.
"""

# papermill, nbclient and nbformat have no types, or theirs are Any
# mypy: disable-error-code="misc, no-untyped-call, no-any-return"

import asyncio
import logging
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, papermill_engines
from papermill.log import logger

from madang import memory
from madang.bookkeeping import Manager, Plan
from madang.gasp import Gasp
from madang.kernels import KernelManager, manager
from madang.listening import Listener
from madang.stopping import TIMED_OUT

NAME = "madang"
# seconds of silence after a cell's reply; nbclient's 4 are too few after megabytes of output, and
# papermill then fails a run whose cell went well
IOPUB_TIMEOUT = 60
# what a kernel held at most on its GPUs, MiB; asked of the kernel, because NVML counts by process
# and inside a container the process numbers are others
_GPU_PEAK = (
    "(lambda t: sum(t.cuda.max_memory_reserved(i) for i in range(t.cuda.device_count())) >> 20"
    " if t is not None and t.cuda.is_available() else None)"
    "(__import__('sys').modules.get('torch'))"
)


class Client(Listener):
    """One event loop from the kernel's start to its end, so that a stop is heard at any time."""

    km: KernelManager | None

    def execute(self, **kwargs: Any) -> NotebookNode:
        """Run the cells. What went wrong stands in the plan; only faults of ours are raised."""
        self.plan = self.nb_man.plan
        self._begun = False  # the kernel has taken up the cell, so a SIGINT reaches its code
        self.ended = False  # the kernel has said that the cell is over
        self._running = False
        self._starting: asyncio.Task[None] | None = None
        self._gasp = Gasp()
        self._sockets = tempfile.mkdtemp(prefix="madang-")
        try:
            return asyncio.run(self._execute(**kwargs))
        finally:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def create_kernel_manager(self) -> KernelManager:
        """A kernel on Unix sockets."""
        self.km = manager(self.kernel_name, f"{self._sockets}/k", self.plan.ahead)
        return self.km

    async def _execute(self, **kwargs: Any) -> NotebookNode:
        self.reset_execution_trackers()
        stop, loop = self.plan.stop, asyncio.get_running_loop()
        saving = asyncio.create_task(self.nb_man.autosave())
        stop.attach(loop, self._stop, self._kill)
        if self.plan.deadline is not None:
            loop.call_later(max(0, self.plan.deadline - time.monotonic()), stop.ask, TIMED_OUT)
        try:
            if await self._start(**kwargs):
                await self._cells()
                await self._last_words()
        finally:
            stop.detach()
            saving.cancel()
            with suppress(OSError):
                # before the kernel's shutdown, which can take seconds; the end's save is checked
                self.nb_man.write()
            await self._end_kernel()
        return self.nb

    async def _start(self, **kwargs: Any) -> bool:
        """Start the kernel; whether it is there. A stop meanwhile ends the attempt."""
        if self.plan.stop.cause:
            return False
        self.create_kernel_manager()
        self._starting = asyncio.ensure_future(self._start_kernel(**kwargs))
        try:
            await self._starting
        except asyncio.CancelledError:
            self.shutdown_kernel = "immediate"  # it has nothing to save yet
            return False
        except (RuntimeError, OSError) as e:
            self._no_kernel(str(e))
            return False
        finally:
            self._starting = None
        return True

    async def _start_kernel(self, **kwargs: Any) -> None:
        try:
            # not our stdout: what a program prints that a cell has started comes by the kernel,
            # and would stand in the log twice, once as it is, with lines that look like ours
            await self.async_start_new_kernel(
                stdout=subprocess.DEVNULL, stderr=self._gasp.fd, **kwargs
            )
        finally:
            self._gasp.begin()
        await self.async_start_new_kernel_client()

    def _no_kernel(self, why: str) -> None:
        self.plan.died = True
        self.plan.echo.error(self._gasp.last(), why)
        text = f"The kernel did not start: {why}"
        self.plan.error = {
            "cell": 0, "id": None, "ename": "DeadKernelError", "evalue": text, "lines": [text],
        }

    async def _cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            if self.plan.stop.cause or self.plan.ended_itself:
                return
            self.nb_man.cell_start(cell, index)
            await self._one(cell, index)
            self.nb_man.cell_complete(cell, index)
            if self.plan.error:
                return

    async def _one(self, cell: NotebookNode, index: int) -> None:
        self._begun, self.ended, self._running = False, False, True
        try:
            await self.async_execute_cell(cell, index)
            if self._begun and not self.ended:
                self._note_loss(cell)
        except CellExecutionError as e:
            if e.ename == "SystemExit" and e.evalue in {"", "0", "None"}:
                self.plan.ended_itself = True
            else:
                self.nb_man.fail(cell, e.ename, e.evalue)
        except DeadKernelError:
            await self._dead(cell)
        except Exception as e:
            self.nb_man.fail(cell, type(e).__name__, str(e))
            raise
        finally:
            self._running = False

    async def _dead(self, cell: NotebookNode) -> None:
        self.plan.died = True
        assert self.km is not None
        code = await self.km.provisioner.poll() if self.km.provisioner else None
        if self.plan.stop.hard:
            why = "The cell did not stop in time and was ended."
        elif memory.was_short():
            why = "The kernel was killed: the container ran out of memory."
        elif code is not None and code < 0:
            why = f"The kernel was killed by signal {-code}; often that is a lack of memory."
        else:
            why = f"The kernel ended by itself (exit code {code})."
        self._show(cell, "DeadKernelError", why)

    def _show(self, cell: NotebookNode, ename: str, evalue: str) -> None:
        """Let whoever opens the notebook see an end that the kernel could not write itself."""
        cell.outputs.append(nbformat.v4.new_output(
            "error", ename=ename, evalue=evalue, traceback=[f"{ename}: {evalue}"]
        ))
        heard = "".join(x.text for x in cell.outputs if x.output_type == "stream")
        self.plan.echo.error(self._gasp.last(heard), "")
        self.plan.echo.error([], f"{ename}: {evalue}")
        self.nb_man.fail(cell, ename, evalue)

    def _note_loss(self, cell: NotebookNode) -> None:
        """The kernel has replied, but its output never ended: what is here may not be all."""
        text = f"[madang] Some of this cell's output was lost (none for {IOPUB_TIMEOUT} s).\n"
        cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text=text))
        self.plan.echo.stream("stderr", text)

    # ---- stopping ----------------------------------------------------------------------------

    def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        elif self._running and self._begun:
            self._interrupt()

    def _interrupt(self) -> None:
        if self.km is not None and not self.plan.stop.delivered:
            self.plan.stop.delivered = True
            self._interrupting = asyncio.ensure_future(self.km.interrupt_kernel())

    def _kill(self) -> None:
        if self._running and self.km is not None and self.km.provisioner is not None:
            self._killing = asyncio.ensure_future(self.km.provisioner.kill())
        self._stop()

    async def _end_kernel(self) -> None:
        if self.km is None or not self.km.has_kernel:
            return
        if self.plan.stop.hard:
            self.shutdown_kernel = "immediate"
        if self.kc is not None:
            # all is heard; what is still to be sent to a kernel that ends is waited for otherwise
            self.kc.stop_channels()
        await self._async_cleanup_kernel()

    # ---- before and after --------------------------------------------------------------------

    def taken_up(self) -> None:
        """The kernel has begun a cell's code; a stop from before is due now."""
        self._begun = True
        if self.plan.stop.cause:
            self._interrupt()

    async def _last_words(self) -> None:
        """Ask the kernel for its language and its peak of GPU memory; silence is no fault."""
        if self.plan.died or self.kc is None:
            return
        with suppress(Exception):
            info = await asyncio.wait_for(self.async_wait_for_reply(self.kc.kernel_info()), 5)
            language = info["content"]["language_info"] if info else None
            if language:
                self.nb.metadata["language_info"] = language
            await self.late()
            if language and language["name"] == "python":
                await asyncio.wait_for(self._ask_gpu(), 5)
        self.set_widgets_metadata()

    async def _ask_gpu(self) -> None:
        assert self.kc is not None
        reply = await self.async_wait_for_reply(self.kc.execute(
            "", silent=True, store_history=False, user_expressions={"peak": _GPU_PEAK}
        ))
        if reply:
            text = reply["content"]["user_expressions"]["peak"]["data"]["text/plain"]
            self.plan.gpu_memory_peak_mib = int(text) if text.isdigit() else None


class Engine(NBClientEngine):
    """Registered with papermill as `madang`; takes its `Plan` as the argument `plan`."""

    @classmethod
    def execute_notebook(
        cls, nb: NotebookNode, kernel_name: str, *, plan: Plan, **_: Any
    ) -> NotebookNode:
        """Run `nb` and save it as the plan says; how it ended is written into the plan.

        Raises:
            OSError: the first save failed.
        """
        nb.metadata.papermill |= {"input_path": plan.output.name, "output_path": plan.output.name}
        nb.metadata["madang"] = plan.metadata
        plan.notebook = nb
        manager = Manager(nb, plan)
        manager.notebook_start()
        client = Client(
            manager, kernel_name=kernel_name, startup_timeout=60, iopub_timeout=IOPUB_TIMEOUT,
            raise_on_iopub_timeout=False, record_timing=False, log=logger,
        )
        try:
            client.execute()
        finally:
            manager.notebook_complete()
        # papermill marks every error in what it gets back, also one that the notebook expects
        return nb if plan.error else NotebookNode(nb, cells=list(nb.cells))


papermill_engines.register(NAME, Engine)
# what goes wrong is said once, by us; papermill and nbclient say it in their own words besides
logger.setLevel(logging.CRITICAL)

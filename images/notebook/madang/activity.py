"""Whether this server is at work: what its kernels and terminals do, told to Madang's service.

At work is: a kernel that runs a cell, however silent it is and whether or not a browser is there;
a terminal that prints or echoes. An open tab is not: neither its pings and polls nor what widgets
and completers say to a kernel by themselves. What runs on the slice is seen by the host.
"""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from jupyter_server.serverapp import ServerApp
from traitlets import Float, Instance
from traitlets.config import LoggingConfigurable

from madang.asking import Away, Refused
from madang.heard import Heard
from madang.lease import Lease

_DELIMITER, _ADDRESSES = b"<IDS|MSG>", 4  # it comes after a topic, or after none


class _Kernel:
    """The ear at one kernel: an iopub connection of our own, open while its process lives."""

    def __init__(self, manager: Any, heard: Heard) -> None:
        self.process = _process(manager)
        self.heard = heard
        self._stream = manager.connect_iopub()
        # frames are not copied: most of what passes is somebody's output, which we do not read
        self._stream.on_recv(self._hear, copy=False)

    def close(self) -> None:
        if not self._stream.closed():
            self._stream.close()

    def _hear(self, frames: list[Any]) -> None:
        try:
            kind, parent, state = _read(frames)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return  # not a message of Jupyter's protocol
        self.heard.hear(kind, parent, state, _now())


class ActivityReporter(LoggingConfigurable):
    """Looks at the server, and tells the service; nothing here ever disturbs the server.

    Without a lease it only looks: JupyterHub too hears then of a silent cell, and its culler does
    not take the server for idle.
    """

    interval = Float(30.0, help="Seconds between two reports.").tag(config=True)
    least = Float(5.0, help="Least seconds between two reports, also when work begins.").tag(
        config=True)
    look = Float(1.0, help="Seconds between two looks.").tag(config=True)
    long = Float(5.0, help="Seconds after which also what is no cell's code counts as work.").tag(
        config=True)
    lease = Instance(Lease)
    parent: ServerApp

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # starting a server is somebody's act
        self.active_at = _now()
        self.told: dict[str, Any] = {}
        self._kernels: dict[str, _Kernel] = {}
        self._terminals: Any = None
        self._reported = float("-inf")
        self._was_busy = False
        self._troubles: set[str] = set()
        self._unheard = False
        self._sending: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                self._watch()
                self._tell_when_due()
            except Exception as e:
                if repr(e) not in self._troubles:
                    self._troubles.add(repr(e))
                    self.log.exception("madang: not all activity is seen")
            await asyncio.sleep(self.look)

    def state(self) -> dict[str, Any]:
        """What is reported: the last moment of work (ISO, UTC), busy, how many of what."""
        now = _now()
        busy = any(x.heard.busy(now) for x in self._kernels.values())
        seen = [x.heard.active_at for x in self._kernels.values() if x.heard.active_at]
        # kept: a kernel that is shut down must not take its last moment with it
        self.active_at = now if busy else max([self.active_at, *seen])
        # Jupyter counts every setting that is called so: the hub must not take a server whose
        # kernel computes in silence for an idle one
        self.parent.web_app.settings["madang_last_activity"] = self.active_at
        return {
            "last_activity": self.active_at.isoformat(), "busy": busy,
            "kernels": len(self._kernels),
            "terminals": len(self._terminals.terminals) if self._terminals else 0,
        }

    # ---- looking -----------------------------------------------------------------------------

    def _watch(self) -> None:
        kernels = self.parent.kernel_manager
        here = {id: kernels.get_kernel(id) for id in kernels.list_kernel_ids()}
        for id, ear in list(self._kernels.items()):
            if id not in here or _process(here[id]) != ear.process:
                self.state()
                ear.close()
                del self._kernels[id]
        for id, manager in here.items():
            if id not in self._kernels and _process(manager) is not None:
                self._kernels[id] = _Kernel(manager, Heard(timedelta(seconds=self.long)))
        terminals = self.parent.web_app.settings.get("terminal_manager")
        if terminals is not None and self._terminals is None:
            self._terminals = terminals
            self._watch_terminals(terminals)

    def _watch_terminals(self, manager: Any) -> None:
        """Count what terminals print.

        Their own `last_activity` also moves when a tab is opened again and gets the old output;
        and what a person types is echoed.
        """
        before = manager.pre_pty_read_hook

        def hook(terminal: Any) -> None:
            self.active_at = _now()
            before(terminal)

        manager.pre_pty_read_hook = hook

    # ---- telling -----------------------------------------------------------------------------

    def _tell_when_due(self) -> None:
        state, now = self.state(), time.monotonic()
        begins = state["busy"] and not self._was_busy
        if self._sending is not None and not self._sending.done():
            return
        if now - self._reported >= (self.least if begins else self.interval):
            self._reported, self._was_busy = now, state["busy"]
            self._sending = asyncio.create_task(self._tell(state))

    async def _tell(self, state: dict[str, Any]) -> None:
        try:
            self.told = await self.lease.report(state)
        except (Refused, Away) as e:
            if not self._unheard:  # once, until it is over
                self.log.warning(
                    "madang: the service does not hear of our activity: %s; trying again every "
                    "%g s", e, self.interval,
                )
            self._unheard = True
        else:
            if self._unheard:
                self.log.info("madang: the service hears of our activity again")
            self._unheard = False


def _now() -> datetime:
    return datetime.now(UTC)


def _process(manager: Any) -> object:
    """What changes when a kernel is restarted; None while it has no process."""
    pid = getattr(getattr(manager, "provisioner", None), "pid", None)
    return (pid, manager.iopub_port) if pid and manager.iopub_port else None


def _read(frames: list[Any]) -> tuple[str, dict[str, Any], str]:
    """(msg_type, the parent's header, execution_state or "") of a message as it comes by ZMQ.

    The signature is not checked: this comes from the kernel's own port, and whoever can send there
    is the person whose work it is.
    """
    start = [x.bytes for x in frames[:_ADDRESSES]].index(_DELIMITER) + 2
    kind = json.loads(frames[start].bytes)["msg_type"]
    state = json.loads(frames[start + 3].bytes)["execution_state"] if kind == "status" else ""
    return str(kind), dict(json.loads(frames[start + 1].bytes)), str(state)

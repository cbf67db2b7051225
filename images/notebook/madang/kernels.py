"""A run's kernel: from a process that was started ahead, on Unix sockets, without waiting twice.

jupyter_client looks every tenth of a second whether a kernel has ended, and two tenths long whether
a new one is silent. A short run is made of such waits.
"""

# jupyter_client's types are Any here and there
# mypy: disable-error-code="misc, no-untyped-call, no-any-return"

import asyncio
import os
import subprocess
import time
from pathlib import Path
from queue import Empty
from typing import Any

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.paths import jupyter_path
from traitlets import default

from madang.ahead import Ahead

_LOOK = 0.01  # seconds between two looks whether a kernel has ended
_RECONNECT = 10  # ms between two tries to reach a kernel that has not opened its sockets yet
_ASK_AGAIN = 1.0  # seconds for a first answer
_HEARD = 0.5  # seconds after that for its end to be heard; else it was published before we listened


class Specs(KernelSpecManager):
    """The kernels of the image and of the home."""

    @default("kernel_dirs")
    def _kernel_dirs_default(self) -> list[str]:
        # as theirs, which imports IPython to find out where it keeps things
        own = os.environ.get("IPYTHONDIR") or Path.home() / ".ipython"
        return [*jupyter_path("kernels"), str(Path(own, "kernels"))]

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """One of them, from its folder; jupyter_client's own way imports ipykernel for it.

        Raises:
            NoSuchKernel: there is none of this name.
        """
        folder = self.find_kernel_specs().get(kernel_name.lower())
        spec = KernelSpec.from_resource_dir(folder) if folder else None
        if spec is None or "kernel_provisioner" in spec.metadata:
            return super().get_kernel_spec(kernel_name)
        return spec


class Provisioner(LocalProvisioner):
    """A process on this machine; the one that was started ahead, where it fits."""

    ahead: Ahead | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel's process."""
        process = self._taken(cmd, **self._scrub_kwargs(kwargs))
        if process is None:
            if self.ahead is not None:
                self.ahead.dismiss()
            return await super().launch_kernel(cmd, **kwargs)
        self.process = process
        self.pid = self.pgid = process.pid  # it has a session of its own
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info

    def _taken(
        self, cmd: list[str], env: dict[str, str] | None = None, cwd: str | None = None,
        stdout: int | None = None, stderr: int | None = None, **more: Any,
    ) -> "subprocess.Popen[bytes] | None":
        if self.ahead is None or env is None or stdout is None or stderr is None or more:
            return None
        with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - no path of anybody's
            out = nothing.fileno() if stdout == subprocess.DEVNULL else stdout
            return self.ahead.take(
                cmd, env=env, cwd=str(cwd or Path.cwd()), stdout=out, stderr=stderr
            )

    async def wait(self) -> int | None:
        """Wait for its end."""
        while await self.poll() is None:  # noqa: ASYNC110 - a process's end is no event of a loop
            await asyncio.sleep(_LOOK)
        return await super().wait()


class KernelClient(AsyncKernelClient):
    """Knows that a kernel is ready by an answer, not by silence after it."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - theirs
        """Wait until it answers, and is heard.

        Raises:
            RuntimeError: it has died, or does not answer in time.
        """
        end = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while not await self._answers():
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > end:
                raise RuntimeError(f"Kernel didn't respond in {timeout:.0f} seconds")

    async def _answers(self) -> bool:
        asked = self.kernel_info()
        try:
            reply = await self.get_shell_msg(timeout=_ASK_AGAIN)
            if reply["msg_type"] != "kernel_info_reply":
                return False
            self._handle_kernel_info_reply(reply)
            # the end of the last question: all that comes after it is about cells
            while True:
                heard = await self.get_iopub_msg(timeout=_HEARD)
                if heard["parent_header"].get("msg_id") == asked and _idle(heard):
                    return True
        except Empty:
            return False


def _idle(message: dict[str, Any]) -> bool:
    return bool(
        message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
    )


class KernelManager(AsyncKernelManager):
    """A kernel whose output is never dropped on its way here."""

    def begin(self, ahead: Ahead | None) -> None:
        """Choose where its process comes from."""
        spec = self.kernel_spec
        if spec is not None and "kernel_provisioner" not in spec.metadata:
            self.kernel_id = "run"
            self.provisioner = Provisioner(
                kernel_id=self.kernel_id, kernel_spec=spec, parent=self
            )
            self.provisioner.ahead = ahead

    def client(self, **kwargs: Any) -> AsyncKernelClient:  # type: ignore[override]
        """A client that takes all there is.

        ZeroMQ drops what comes when 1000 messages wait: a cell that prints fast, read by a machine
        that is busy, loses output, and with it the message that it has ended.
        """
        client = super().client(**kwargs)
        client.context.setsockopt(zmq.RCVHWM, 0)
        client.context.setsockopt(zmq.RECONNECT_IVL, _RECONNECT)
        return client

    async def _async_finish_shutdown(
        self, waittime: float | None = None, pollinterval: float = _LOOK, restart: bool = False
    ) -> None:
        await super()._async_finish_shutdown(waittime, pollinterval, restart)


def manager(name: str, ip: str, ahead: Ahead | None) -> KernelManager:
    """The manager of a kernel that is to be started, on Unix sockets whose paths begin with `ip`.

    No ports to race for, nothing on the network.
    """
    made = KernelManager(
        kernel_name=name, transport="ipc", ip=ip, kernel_spec_manager=Specs(),
        client_factory=KernelClient,
    )
    made.begin(ahead)
    return made

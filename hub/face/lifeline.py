"""Living and dying with the hub: our address, and not outliving the process that started us."""

import ctypes
import logging
import os
import signal
import socket
import threading
import time

from hub.errors import Unavailable

log = logging.getLogger("madang.service")
_PR_SET_PDEATHSIG = 1
_LAST_WORDS = 5.0  # seconds between asking ourselves to end and ending


def end_with_parent(every: float = 1.0) -> None:
    """End this process soon after its parent has died.

    An orphan would keep the port, and the restarted hub could never start its own service. The
    kernel's signal comes at once; the look is for what it misses: a parent that died before the
    call, or a shutdown that hangs.
    """
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    threading.Thread(
        target=_watch, args=(parent, every), name="madang-parent", daemon=True
    ).start()


def _watch(parent: int, every: float) -> None:
    while os.getppid() == parent:
        time.sleep(every)
    log.warning("the hub (process %d) is gone: ending", parent)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_WORDS)
    os._exit(1)


def listen(host: str, port: int, patience: float = 10.0) -> socket.socket:
    """A socket bound to the address; waits while an old process lets go of it.

    Raises:
        Unavailable: after `patience` seconds; says who to look for.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    end = time.monotonic() + patience
    while True:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, port))
            made.listen(2048)
        except OSError as e:
            made.close()
            if time.monotonic() > end:
                raise Unavailable(
                    "The service cannot listen on {host}:{port}: {error}. Another program has the "
                    "port (`ss -ltnp`), or the network is missing; the setting is service_port.",
                    reason="port", host=host, port=port, error=e.strerror,
                ) from e
            time.sleep(0.2)
        else:
            return made

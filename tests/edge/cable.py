"""A cable to Docker's socket that a test can cut, and mend."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.edge.docker_fixtures import SOCKET


class Cable:
    """A socket of its own, whose connections go on to Docker's."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "cable.sock"
        self.address = f"unix://{self._path}"
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        self._door: socket.socket | None = None
        self.asked = 0  # connections so far

    def mend(self) -> None:
        """Connections are taken, from now on."""
        self._path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(self._path))
        door.listen()
        self._door = door
        threading.Thread(target=self._take, args=[door], daemon=True).start()

    def cut(self) -> None:
        """All connections break, and no new ones are taken."""
        door, self._door = self._door, None
        if door is not None:
            self._path.unlink(missing_ok=True)
            _end(door)
        with self._lock:
            for each in self._ends:
                _end(each)
            self._ends.clear()

    def _take(self, door: socket.socket) -> None:
        while self._door is door:
            try:
                near, _ = door.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(SOCKET)
            self.asked += 1
            with self._lock:
                self._ends += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=_carry, args=pair, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    _end(source)
    _end(target)


def _end(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()


@contextmanager
def cable(folder: Path) -> Iterator[Cable]:
    """One that is whole; nothing of it is left afterwards."""
    made = Cable(folder)
    made.mend()
    try:
        yield made
    finally:
        made.cut()

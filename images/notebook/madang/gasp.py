"""What a kernel's process says on its own stderr, where no notebook hears it: why it ended."""

import os
import threading

_MOST = 8192  # bytes
_PATIENCE = 1.0  # seconds; a child of the kernel may hold the other end for ever


class Gasp:
    """A place for a process's stderr, of which the end is kept.

    ipykernel sends what programs write that a cell has started into the notebook, and writes it
    here as well: so this is shown only of a kernel that has died, and without what was heard.
    """

    def __init__(self) -> None:
        self._kept = b""
        self._from, self.fd = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> None:
        """The process has its end: ours is closed, and the other read."""
        os.close(self.fd)
        self._reader.start()

    def last(self, heard: str = "") -> list[str]:
        """The last lines, without those that are in `heard`."""
        self._reader.join(_PATIENCE)
        lines = self._kept.decode(errors="replace").splitlines()
        return [x for x in lines if x.strip() not in heard]

    def _read(self) -> None:
        with os.fdopen(self._from, "rb", 0) as stream:
            while piece := stream.read(_MOST):
                self._kept = (self._kept + piece)[-_MOST:]

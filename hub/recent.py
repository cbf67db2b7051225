"""Blobs that were read just now: a class of two hundred wants the same twenty."""

import threading
from collections import OrderedDict
from collections.abc import Callable

_EACH, _ALL = 1 << 20, 64 << 20  # bytes


class Recent:
    """`fetch`, remembering small answers; safe from many threads."""

    def __init__(self, fetch: Callable[[str], bytes]) -> None:
        self._fetch = fetch
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def __call__(self, sha256: str) -> bytes:
        """The bytes of a blob."""
        with self._lock:
            found = self._kept.get(sha256)
            if found is not None:
                self._kept.move_to_end(sha256)
                return found
        made = self._fetch(sha256)
        if len(made) <= _EACH:
            with self._lock:
                self._size += len(made) - len(self._kept.pop(sha256, b""))
                self._kept[sha256] = made
                while self._size > _ALL:
                    self._size -= len(self._kept.popitem(last=False)[1])
        return made

"""Lists of runs as JSON. Those that have ended never change, so each is put into JSON once."""

from threading import Lock

from pydantic import TypeAdapter

from hub.batch import Batch
from hub.core.runs import DONE, Run
from hub.face import reasons
from hub.face.caller import Caller

_RUN = TypeAdapter(Run)
_MOST = 64 << 20  # bytes that are kept: a run has about 1 KiB, and at most some 20


class RunList:
    """Answers lists of runs. Safe from many threads.

    Reading and writing 10,000 runs takes most of a second; to find them, a fiftieth of it.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._kept: dict[tuple[str, str], bytes] = {}  # (id, language), oldest first
        self._size = 0
        self._lock = Lock()

    def json(
        self, caller: Caller, language: str, *, user: str | None, limit: int,
        sweep: str | None = None, schedule: str | None = None,
    ) -> bytes:
        """Runs that the caller may see, newest first, as a list in JSON."""
        heads = self._batch.heads(user=user, limit=limit, sweep=sweep, schedule=schedule)
        ids = [id for id, owner, _ in heads if caller.sees(owner)]
        known = {x: kept for x in ids if (kept := self._kept.get((x, language))) is not None}
        found = self._batch.of_ids([x for x in ids if x not in known])
        for id, run in found.items():
            known[id] = text = _RUN.dump_json(reasons.said(run, language))
            if run.stage in DONE:
                self._keep((id, language), text)
        return b"[" + b",".join(known[x] for x in ids if x in known) + b"]"

    def _keep(self, key: tuple[str, str], text: bytes) -> None:
        with self._lock:
            self._size += len(text) - len(self._kept.pop(key, b""))
            self._kept[key] = text
            while self._size > _MOST:
                self._size -= len(self._kept.pop(next(iter(self._kept))))

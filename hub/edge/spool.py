"""Notifications that are still to be sent, a file each; and the names of those that are done.

`<data>/notifications/ID.json` is to be sent; when it is done the file moves to `done/`. So a
service that is killed at any moment sends each at least once, and a second time at most.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from hub.config import Settings
from hub.core.notification import Notification, as_json, of_json

log = logging.getLogger("madang.spool")
_OWN = 0o700


class Spool:
    """The notifications of one installation. One process writes it."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.data / "notifications"
        self._done = self._root / "done"

    def waiting(self) -> Iterator[Notification]:
        """All that are to be sent; what cannot be read is set aside as done."""
        for path in sorted(self._root.glob("*.json")):
            try:
                yield of_json(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError, KeyError) as e:
                log.error("%s is no notification: %s", path, e)  # noqa: TRY400 - its text says it
                self.done(path.stem)

    def known(self, id: str) -> bool:
        """Whether it is to be sent, or is done."""
        return any((x / f"{id}.json").exists() for x in (self._root, self._done))

    def put(self, one: Notification) -> None:
        """Keep it, new or changed; it is on the disk afterwards.

        Raises:
            OSError: it is not.
        """
        self._done.mkdir(mode=_OWN, parents=True, exist_ok=True)
        self._root.chmod(_OWN)
        part = self._root / f"{one.id}.new"
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, not a path
            json.dump(as_json(one), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._root / f"{one.id}.json")

    def done(self, id: str) -> None:
        """It was sent, or is dropped."""
        path = self._done / f"{id}.json"
        with suppress(OSError):
            self._done.mkdir(mode=_OWN, parents=True, exist_ok=True)
            (self._root / f"{id}.json").replace(path)
        with suppress(OSError):
            path.write_text("")  # where it went to and what it said is nobody's business any more

    def prune(self, oldest: datetime) -> None:
        """Forget those that were done before."""
        for path in self._done.glob("*.json"):
            with suppress(OSError):
                if path.stat().st_mtime < oldest.timestamp():
                    path.unlink()

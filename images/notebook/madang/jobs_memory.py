"""What Lab's list of jobs knows beside the service: names that people gave, and what they hid.

It lies in the home and not with the service: to delete a job tidies one person's list, while the
run stays in the report, the quota and the history, and its results in the home.
"""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from madang.files import write_atomic

log = logging.getLogger("madang.jobs")
_MOST = 5000  # runs that are remembered; older ones have left the list by then


class Memory:
    """A small file in the home: id of a run → `name`, `token`, `hidden`. A broken one is empty."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _default()

    def all(self) -> dict[str, dict[str, Any]]:
        """Everything that is kept."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        runs = found.get("runs") if isinstance(found, dict) else None
        items = runs.items() if isinstance(runs, dict) else ()
        return {k: v for k, v in items if isinstance(v, dict)}

    def note(self, id: str, **facts: Any) -> None:
        """Add to what is kept of a run.

        Raises:
            OSError: it cannot be written.
        """
        runs = self.all()
        # at the end: the oldest go first
        runs[id] = {**runs.pop(id, {}), **facts}
        kept = dict(list(runs.items())[-_MOST:])
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path, json.dumps({"runs": kept}, ensure_ascii=False))

    def note_if_possible(self, id: str, **facts: Any) -> None:
        """As `note`, where a full disk must not undo what has been done already."""
        try:
            self.note(id, **facts)
        except OSError as e:
            log.warning("%s of run %s cannot be kept: %s", ", ".join(facts), id, e)

    def by_token(self, token: str) -> str:
        """The run that was made with this token; "" for none."""
        return next((k for k, x in self.all().items() if x.get("token") == token), "")


def hidden(facts: Mapping[str, Any]) -> bool:
    """Whether the person has taken the run out of the list."""
    return bool(facts.get("hidden"))


def _default() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "madang" / "jobs.json"

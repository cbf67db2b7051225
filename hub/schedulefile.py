"""The operator's file of schedules: read when it has changed, refused whole where it is bad."""

import json
import logging
import re
import tomllib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from hub import metrics
from hub.core import schedulefile
from hub.core.notebook import check_notebook
from hub.core.schedulefile import Entry
from hub.errors import BadInput, Refusal, Text, Unavailable
from hub.schedules import Schedules
from hub.schedulesource import Read, Source, refused, taken

log = logging.getLogger("madang.schedules")
_PLACE = re.compile(r"\s*\(at line (\d+), column \d+\)")
_Signs = tuple[tuple[str, int, int, int], ...]


def read(path: Path) -> list[Read]:
    """The schedules in a file, as far as the file alone can tell.

    Raises:
        BadInput: reason "schedules-file": the first problem, with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise schedulefile.problem(path.name, 1, why) from e
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        said, place = str(e), _PLACE.search(str(e))
        line = int(place[1]) if place else text.count("\n") + 1
        raise schedulefile.problem(path.name, line, _PLACE.sub("", said)) from e
    found = schedulefile.entries(text, data, path.name)
    return [taken(x, partial(_notebook, path=path), path.name) for x in found]


def _notebook(entry: Entry, path: Path) -> dict[str, Any]:
    file, line = path.parent / entry.notebook, entry.at("notebook")
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        check_notebook(found, entry.notebook)
    except BadInput as e:
        raise refused(path.name, line, e) from e
    except (OSError, ValueError, RecursionError) as e:
        why = Text("{notebook} cannot be read: {error}", notebook=entry.notebook, error=e)
        raise schedulefile.problem(path.name, line, why) from e
    return found


class ScheduleFile:
    """Keeps the schedules of one file as the file says; the last good one stays in force."""

    def __init__(self, schedules: Schedules, path: Path | None) -> None:
        name = path.name if path else ""
        self._source = Source(schedules, f"file:{name}", name)
        self._path = path
        self._known: _Signs | None = None
        self._notebooks: tuple[Path, ...] = ()
        self._told = ""

    def tick(self) -> None:
        """Read it where it is new; a bad one is told to the operator, once."""
        if self._path is None:
            return
        signs = _signs((self._path, *self._notebooks))
        if signs == self._known:
            return
        if not self._path.exists() and self._source.empty:
            return
        try:
            found = read(self._path)
            notebooks = tuple(self._path.parent / x.entry.notebook for x in found)
            # of new ones it is not known whether they have changed since: the next tick reads again
            known = signs if notebooks == self._notebooks else None
            self._notebooks = notebooks
            self._source.apply(found)
            self._told = ""
        except Unavailable as e:
            log.info("%s is read again: %s", self._path, e)
            return
        except Refusal as e:
            self._tell(str(e))
            known = _signs((self._path, *self._notebooks))
        self._known = known

    def _tell(self, problem: str) -> None:
        if problem != self._told:
            metrics.TOLD.inc()
            log.error("the schedules are left as they were: %s", problem)
        self._told = problem


def _signs(paths: Iterable[Path]) -> _Signs:
    found = []
    for path in paths:
        try:
            seen = path.stat()
            found.append((str(path), seen.st_mtime_ns, seen.st_size, seen.st_ino))
        except OSError:
            found.append((str(path), 0, 0, 0))
    return tuple(found)

"""run.json: what was run, on what, how it ended; enough to do it again."""

import itertools
import json
import os
import platform
import resource
import site
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from madang.files import write_atomic
from madang.job import Job
from madang.masking import Mask

NAME = "run.json"
# what the notebook has said, or whoever submitted it: no secret stays in it
_SAID = ("parameters", "message", "error", "metrics")
# of the service's record; always present, null where it is not known
_KEPT = ("image", "image_digest", "commit", "slice", "node", "lease", "user", "asked_at")

_DESCRIBED = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}  # how packages are installed


def read(folder: Path) -> dict[str, Any]:
    """The run.json in a folder; empty where there is none that can be read."""
    try:
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def packages() -> dict[str, str]:
    """Name → version of every package that a notebook can import, sorted.

    Where two places have one package, the first on sys.path counts: that is what is imported.
    """
    found: dict[str, str] = {}
    # an isolated runner (python -I) does not see the student's own packages; the kernel does
    for folder in [*sys.path, site.getusersitepackages()]:
        for name, version in _installed(folder or "."):
            found.setdefault(name, version)
    return dict(sorted(found.items(), key=lambda x: x[0].lower()))


def _installed(folder: str) -> Iterator[tuple[str, str]]:
    """What is installed in one folder. `importlib.metadata` reads all of each description."""
    try:
        entries = list(os.scandir(folder))
    except OSError:  # not there, or a zip of modules
        return
    for entry in map(Path, entries):
        text = _DESCRIBED.get(entry.suffix)
        if text:
            with suppress(OSError, UnicodeDecodeError, KeyError):
                head = _head(entry / text if entry.is_dir() else entry)
                yield head["Name"], head["Version"]


def _head(path: Path) -> dict[str, str]:
    """A package's name and version as its description has them, in whatever order."""
    found: dict[str, str] = {}
    with path.open(encoding="utf-8") as lines:
        for line in itertools.takewhile(str.strip, lines):  # the head ends with an empty line
            name, _, value = line.partition(": ")
            if name in ("Name", "Version"):
                found[name] = value.strip()
                if len(found) == 2:  # noqa: PLR2004 - both
                    break
    return found


def peak_rss_mib() -> int:
    """The largest memory that one process of the run had, MiB; known once the kernel has ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


class RunFile:
    """Writes run.json: at the start with stage `running`, at the end with the truth.

    Made before the folder is, because to look at the packages takes a while: a folder without a
    record is nobody's, and another attempt would not find it.
    """

    def __init__(self, job: Job, cells: int, mask: Mask) -> None:
        now = datetime.now(UTC)
        self._path = Path(NAME)
        self._mask = mask
        self._started = now
        self._data: dict[str, Any] = {
            "id": job.id,
            "attempt": job.attempt,
            "notebook": job.name,
            "output": f"{job.name}.ipynb",
            "folder": "",
            "snapshot": job.snapshot is not None,
            "parameters": dict(job.parameters),
            "seed": job.record.get("seed", job.parameters.get("seed")),
            **{k: job.record.get(k) for k in _KEPT},
            "python": platform.python_version(),
            "packages": packages(),
            "started_at": now.isoformat(),
            "ended_at": None,
            "duration_s": None,
            "stage": "running",
            "message": "",
            "exit_code": None,
            "cells": cells,
            "cells_done": 0,
            "steps": 0,
            "steps_done": 0,
            "error": None,
            "metrics": {},
            "resources": {"peak_rss_mib": None, "gpu_memory_peak_mib": None},
        }

    def begin(self, folder: Path) -> None:
        """Write it into this folder for the first time.

        Raises:
            OSError: it cannot be written.
        """
        self._path = folder / NAME
        self._data["folder"] = folder.name
        self._write()

    def end(
        self, *, stage: str, exit_code: int, message: str, counts: Mapping[str, int],
        error: dict[str, Any] | None, metrics: dict[str, Any], gpu_memory_peak_mib: int | None,
    ) -> None:
        """Write it for the last time; `counts` of cells and of the notebook's own steps.

        Raises:
            OSError: it cannot be written; the first one stays.
        """
        now = datetime.now(UTC)
        self._data |= {
            "ended_at": now.isoformat(),
            "duration_s": round((now - self._started).total_seconds(), 3),
            "stage": stage, "message": message, "exit_code": exit_code,
            **counts, "error": error, "metrics": metrics,
            "resources": {
                "peak_rss_mib": peak_rss_mib(), "gpu_memory_peak_mib": gpu_memory_peak_mib,
            },
        }
        self._write()

    def _write(self) -> None:
        data = self._data | {k: self._mask.deep(self._data[k]) for k in _SAID}
        write_atomic(self._path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")

"""Where a job's files lie: a run writes into the home, so its links lead there at once."""

# jupyter_scheduler has no types
# mypy: disable-error-code="misc, import-not-found, import-untyped"

import asyncio
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from jupyter_scheduler.exceptions import SchedulerError
from jupyter_scheduler.job_files_manager import JobFilesManager
from jupyter_scheduler.models import JobFile

from madang import jobs_words as words
from madang.files import write_atomic
from madang.messages import t


class Home:
    """The person's home, as the server shows it below its own folder `root`."""

    def __init__(self, root: str) -> None:
        self._root = Path(root).expanduser().absolute()
        self._home = Path.home()

    def path(self, uri: str) -> Path | None:
        """A file that Lab names, where it is one below its folder."""
        path = self._root / uri
        inside = ".." not in PurePosixPath(uri).parts and path.is_relative_to(self._root)
        return path if inside and path.is_file() else None

    def output(self, run: Mapping[str, Any]) -> Path:
        """Where the run's notebook is, or would be."""
        path: Path = self._home / run["folder"] / f"{PurePosixPath(run['notebook']).stem}.ipynb"
        return path

    def files(
        self, run: Mapping[str, Any], source: str, labels: Mapping[str, str]
    ) -> list[JobFile]:
        """What can be opened of a run: its notebook, the one it was made from, its folder.

        `source`: the latter as Lab named it; "" where the run was not made in Lab.
        """
        output = self.output(run)
        made_from = self._root / source if source else self._home / run["cwd"] / run["notebook"]
        return [
            self._file("ipynb", output, labels), self._file("input", made_from, labels),
            *([self._file("files", output.parent, labels)] if output.parent.is_dir() else []),
        ]

    def _file(self, kind: str, path: Path, labels: Mapping[str, str]) -> JobFile:
        seen = path.exists() and path.is_relative_to(self._root)
        return JobFile(
            display_name=labels[kind], file_format=kind,
            file_path=str(path.relative_to(self._root)) if seen else None,
        )


class JobFiles(JobFilesManager):
    """Brings a result back that is no longer in the home: the service keeps a copy for a while."""

    async def copy_from_staging(self, job_id: str, redownload: object = False) -> None:
        """Write the run's notebook where its link leads, over none that is there.

        Raises:
            SchedulerError: the service has none, or it cannot be written.
        """
        run = await self.scheduler.run(job_id)
        path = self.scheduler.home.output(run)
        # the handler passes what stood in the address: "false" is a text, and true
        if path.exists() and str(redownload).lower() != "true":
            return
        text = await self.scheduler.service.text(f"runs/{words.run_id(job_id)}/output")
        try:
            await asyncio.to_thread(_write, path, text)
        except OSError as e:
            raise SchedulerError(t("cannot write {path}: {error}", path=path, error=e.strerror)) \
                from e


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text)

"""What a job can be run in: Madang's images as environments, its sizes as compute types."""

# jupyter_scheduler has no types
# mypy: disable-error-code="misc, import-not-found, import-untyped"

import os
import time
from typing import Any

from jupyter_scheduler.environments import EnvironmentManager, EnvironmentRetrievalError
from jupyter_scheduler.exceptions import SchedulerError
from jupyter_scheduler.models import RuntimeEnvironment

from madang.jobs_service import Service
from madang.messages import t

_FRESH = 60.0  # seconds
_ONLY = "Madang"  # the one environment where the service names no images; Lab does not show it


class Environments(EnvironmentManager):
    """Images and sizes as the service offers them now."""

    def __init__(self) -> None:
        self._service = Service()
        self._titles: dict[str, str] = {}
        self._asked = -_FRESH

    async def list_environments(self) -> list[RuntimeEnvironment]:
        """One environment an image, the default first; each with all sizes.

        Raises:
            EnvironmentRetrievalError: the service refuses, or is not reached.
        """
        try:
            sizes = [x["profile"] for x in await self._service.ask("GET", "offers")]
            titles = await self.titles()
        except SchedulerError as e:
            raise EnvironmentRetrievalError(str(e)) from e
        mine = os.environ.get("MADANG_SLICE", "")
        return [
            RuntimeEnvironment(
                # the same: Lab shows the name, and takes the label for it
                name=title, label=title, description=tag, metadata={"image": tag},
                file_extensions=["ipynb"], output_formats=[], compute_types=sizes,
                default_compute_type=mine if mine in sizes else next(iter(sizes), None),
                utc_only=False,
            )
            for tag, title in titles.items()
        ]

    async def titles(self) -> dict[str, str]:
        """Image → what it is called, each name once."""
        if time.monotonic() - self._asked > _FRESH:
            self._titles = await self._ask()
            self._asked = time.monotonic()
        return self._titles

    async def _ask(self) -> dict[str, str]:
        try:
            found: list[dict[str, Any]] = await self._service.ask("GET", "images")
        except SchedulerError:
            return {"": _ONLY}  # it tells of no images, or nothing at all just now
        names = [x["title"] or x["image"] for x in found]
        return {
            x["image"]: name if names.count(name) == 1 else f"{name} ({x['image']})"
            for x, name in zip(found, names, strict=True)
        }

    async def image(self, title: str) -> str:
        """The image of that name; "" for the default."""
        return next((tag for tag, x in (await self.titles()).items() if title in {x, tag}), "")

    def manage_environments_command(self) -> str:
        """None: images are the operator's."""
        return ""

    def output_formats_mapping(self) -> dict[str, str]:
        """What a job's links are called."""
        return {"ipynb": t("Notebook"), "input": t("Input"), "files": t("Files")}

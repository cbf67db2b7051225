"""Jupyter server extension: which slice is this? Lab's status bar asks."""

import json
import os
from collections.abc import Mapping
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web


def describe(environment: Mapping[str, str]) -> dict[str, Any]:
    """The slice as `container_options` of the hub wrote it into the environment.

    `memory_mib` is an int; everything is None where the server has no slice.
    """
    profile = environment.get("MADANG_SLICE") or None
    if profile is None:
        return {"slice": None, "gpu": None, "uuid": None, "memory_mib": None, "lease": None,
                "text": "CPU"}
    gpu = environment.get("MADANG_GPU", "")
    memory = int(environment.get("MADANG_MEMORY_MIB") or 0)
    parts = [profile, gpu.removeprefix("NVIDIA ")]
    if memory:
        parts.append(f"{memory / 1024:.1f} GiB")
    return {
        "slice": profile, "gpu": gpu, "uuid": environment.get("MADANG_UUID"),
        "memory_mib": memory, "lease": environment.get("MADANG_LEASE"),
        "text": " · ".join(x for x in parts if x),
    }


class LeaseHandler(APIHandler):
    """GET <base>/madang/lease."""

    @web.authenticated
    async def get(self) -> None:
        """The slice as JSON."""
        self.finish(json.dumps(describe(os.environ)))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "madang.server"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    path = url_path_join(app.web_app.settings["base_url"], "madang/lease")
    app.web_app.add_handlers(".*$", [(path, LeaseHandler)])  # type: ignore[no-untyped-call]

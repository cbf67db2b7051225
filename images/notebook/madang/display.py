"""What code in a notebook shows there, and in a plain script not."""

import sys
from collections.abc import Callable, Mapping
from typing import Any


def show(
    data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None, *, id: str = "",
    update: bool = False,
) -> bool:
    """Display a bundle of media types below the cell; False outside a notebook.

    Args:
        id: a name for the output, by which `update` replaces it later.
    """
    shell = _shell()
    if shell is None:
        return False
    transient = {"transient": {"display_id": id}} if id else {}
    shell.display_pub.publish(
        data=dict(data), metadata=dict(metadata or {}), update=update, **transient
    )
    return True


def execution() -> int:
    """Which execution of a cell this is, counted by the kernel; 0 outside a notebook."""
    shell = _shell()
    return shell.execution_count if shell is not None else 0


def when_a_cell_ends(call: Callable[[object], None]) -> None:
    """From now on, at the end of each cell; never outside a notebook."""
    shell = _shell()
    if shell is not None:
        shell.events.register("post_run_cell", call)


def _shell() -> Any:
    # a kernel has imported IPython; nobody else needs to
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell if hasattr(shell, "kernel") else None

"""`python -m hub.face.culler`: jupyterhub-idle-culler, for servers without a slice only.

The hub starts it, and it asks the hub alone. Who has a slice gives it back by the rules of the line
(`core.policy`), which know more than when somebody last clicked.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from jupyterhub_idle_culler import IdleCuller

from hub.face import form
from hub.face.lifeline import end_with_parent


def without_slice(
    *, inactive: timedelta, inactive_limit: float, server: Mapping[str, Any]
) -> bool:
    """Whether to stop a server: jupyterhub-idle-culler's `cull_arbiter_hook`.

    Args:
        inactive_limit: seconds.
        server: the hub's model of it. One that does not say what was chosen is left alone.
    """
    options = server.get("user_options")
    if not isinstance(options, Mapping):
        return False
    cpu = (options.get("profile") or form.CPU) == form.CPU  # as `form.check` reads it
    return cpu and inactive.total_seconds() >= inactive_limit


def main() -> None:
    """Run until the hub is gone; the settings are the culler's own options in `sys.argv`."""
    end_with_parent()
    # no file of its own: it would be looked for in whatever folder this runs in
    IdleCuller.launch_instance(cull_arbiter_hook=without_slice, config_file="")


if __name__ == "__main__":
    main()

"""The floor's door to the machine for those who must not touch it themselves.

The supervisor and `make` need it, and `make` before the virtual environment exists: nothing that
this module imports may need more than the standard library.
"""

from hub.edge.host import can_bind, children, git_backend, listener, version

__all__ = ["can_bind", "children", "git_backend", "listener", "taken", "version"]


def taken(address: str, port: int) -> str | None:
    """Who keeps us from listening on `address:port`, in words; None when nobody does."""
    if can_bind(address, port):
        return None
    return listener(port) or "another process"

"""This server's lease at Madang's service."""

from collections.abc import Mapping
from typing import Any

from madang.asking import Asking, Away


class Lease:
    """One lease, by the server's own token.

    Raises (each method):
        Refused: the service says no.
        Away: it is not there, or not in order.
    """

    def __init__(self, id: str, api: str, token: str) -> None:
        self.id = id
        self._asking = Asking(f"{api.rstrip('/')}/leases/{id}", token)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Lease | None":
        """The lease that the hub wrote into the environment; None on a server without one."""
        id, api = environment.get("MADANG_LEASE", ""), environment.get("MADANG_API", "")
        token = environment.get("JUPYTERHUB_API_TOKEN", "")
        return cls(id, api, token) if id and api and token else None

    async def look(self, language: str = "") -> dict[str, Any]:
        """It as the service tells it."""
        return await self._ask("GET", "", language)

    async def extend(self, language: str = "") -> dict[str, Any]:
        """Ask for more time; what it is then."""
        return await self._ask("POST", "/extend", language, {})

    async def give_back(self, language: str = "") -> dict[str, Any]:
        """End it; the server is stopped soon after."""
        return await self._ask("DELETE", "", language)

    async def report(self, activity: Mapping[str, Any]) -> dict[str, Any]:
        """Say what the server does; what is promised, and whether a notice runs."""
        return await self._ask("POST", "/activity", "", activity)

    async def _ask(
        self, method: str, path: str, language: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        found = await self._asking.ask(method, path, language, body)
        if not isinstance(found, dict):
            raise Away(f"{type(found).__name__} in place of a lease")
        return found


class NoLease(Lease):
    """On a server without a slice: what it does is told to nobody here. The hub asks by itself."""

    def __init__(self) -> None:
        super().__init__("", "", "")

    async def report(self, activity: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Nothing."""
        return {}

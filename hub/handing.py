"""Secrets of runs: who may use which, and handing them to a run's container."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hub.config import Settings
from hub.core import roster, secret
from hub.core.roster import Member
from hub.core.runs import Run
from hub.core.secret import NOT_YOURS, Secret
from hub.edge.vault import Vault
from hub.errors import BadInput, NotFound, Refusal

log = logging.getLogger("madang.secrets")


@dataclass(frozen=True)
class Handed:
    """What a container gets: a folder of this machine with a file for each name.

    `variables`: name → whether it is to be an environment variable too.
    """

    folder: Path | None = None
    variables: Mapping[str, bool] = field(default_factory=dict)


class Handing:
    """Checks and hands out the secrets of one installation.

    Args:
        members: the roster as it is now.
    """

    def __init__(self, settings: Settings, members: Callable[[], Iterable[Member]]) -> None:
        self._vault = Vault(settings)
        self._members = members

    # ---- for runs --------------------------------------------------------------------------

    def check(self, user: str, names: Collection[str]) -> None:
        """Refuse names that this person may not use, or that are none; nobody learns which.

        Raises:
            BadInput: reason "secret".
        """
        secret.check_names(names)
        self._found(user, names)

    def hand(self, run: Run) -> Handed:
        """Lay out a run's secrets for the container of this attempt.

        Raises:
            BadInput: one is gone, or its person may not use it any more.
            Unavailable: they cannot be read or laid out.
        """
        if not run.secrets:
            return Handed()
        found = self._found(run.user, run.secrets)
        folder = self._vault.lay(run.lease_id, {x.name: value for x, value in found})
        log.info("run %s of %s is given the secrets %s", run.id, run.user, ", ".join(run.secrets))
        return Handed(folder, {x.name: x.env for x, _ in found})

    def sweep(self, leases: Collection[str]) -> None:
        """Take away what was laid out for other leases than these; a later tick tries again."""
        try:
            self._vault.sweep(leases)
        except OSError as e:
            log.warning("secrets of ended runs cannot be taken away: %s", e)

    def _found(self, user: str, names: Iterable[str]) -> list[tuple[Secret, bytes]]:
        groups = roster.groups_of(self._members(), user) if names else ()
        found = []
        for name in dict.fromkeys(names):
            there = self._vault.get(name)
            if there is None or not secret.allows(there[0], user, groups):
                raise BadInput(NOT_YOURS, reason="secret", name=name, user=user)
            found.append(there)
        return found

    # ---- for the operator ------------------------------------------------------------------

    def list(self) -> list[Secret]:
        """All secrets, by name."""
        return self._vault.list()

    def put(self, wanted: Secret, given: bytes | None) -> bytes:
        """Keep a secret; None leaves the value as it is, and changes who may use it. The value.

        Raises:
            BadInput: no name, no value, nobody who may use it.
            NotFound: the value of none was to be left.
            Unavailable: it cannot be written.
        """
        secret.check_name(wanted.name)
        if not wanted.groups and not wanted.users:
            raise BadInput(
                "Say who may use it: --group NAME or --user NAME, as often as you like.",
                reason="secret",
            )
        there = self._vault.get(wanted.name) if given is None else None
        if given is None and there is None:
            raise _none(wanted.name)
        value = secret.value_of(there[1] if there else given or b"", env=wanted.env)
        self._vault.put(wanted, value)
        return value

    def remove(self, name: str) -> None:
        """Forget a secret. Runs that have it go on with it; those that begin later fail.

        Raises:
            NotFound: there is none.
            Unavailable: it cannot be.
        """
        if not self._vault.remove(name):
            raise _none(name)

    def strangers(self, wanted: Secret) -> tuple[str, ...]:
        """Groups and people of a secret whom the roster does not know."""
        members = tuple(self._members())
        known = {x.group for x in members}, {x.name for x in members}
        return (
            *(x for x in wanted.groups if x not in known[0]),
            *(x for x in wanted.users if x not in known[1]),
        )


def _none(name: str) -> Refusal:
    return NotFound("There is no secret {name}: `madang secret list`.", name=name)

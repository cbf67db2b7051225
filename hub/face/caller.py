"""Who asks, and whom they may know of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """Who asks. `kind` is the hub's: user or service; only a user owns leases and runs.

    `instructs`: groups in which the caller is an instructor; `teaches`: their students. The token
    of a server carries none of that, nor the operator's rights; `withheld`: it lacks some.
    """

    name: str
    kind: str = "user"
    is_operator: bool = False
    is_instructor: bool = False
    groups: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    instructs: tuple[str, ...] = ()
    teaches: frozenset[str] = frozenset()
    withheld: bool = False

    def owns(self, user: str) -> bool:
        """Whether what belongs to `user` is the caller's. A service may be named like a person."""
        return self.kind == "user" and self.name == user

    def sees(self, user: str) -> bool:
        """Whether the caller may have what belongs to this person: runs, logs."""
        return self.is_operator or self.owns(user)

    def knows(self, user: str) -> bool:
        """Whether the caller may know that this person waits or holds, and end that."""
        return self.sees(user) or user in self.teaches

    def leads(self, group: str) -> bool:
        """Whether the caller may reserve slices for this group."""
        return self.is_operator or group in self.instructs

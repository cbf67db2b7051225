"""Secrets that runs may be given: their names, and who may use them. Values are never in here."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hub.errors import BadInput

MOST = 20  # of one run
LARGEST = 64 << 10  # bytes of a value
SHORTEST = 6  # characters: what is shorter stands in texts by chance, and is not masked in them
# the same to whoever may not use it and where there is none, or names could be guessed
NOT_YOURS = (
    "There is no secret {name} that {user} may use. Ask the operator: the name must be right, and "
    "you or your group be allowed to use it."
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Secret:
    """One secret without its value. `env`: given as an environment variable too, beside the file.

    Whoever is in one of `groups`, or is one of `users`, may use it.
    """

    name: str
    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    env: bool = False


def allows(secret: Secret, user: str, groups: Collection[str]) -> bool:
    """Whether this person, who is in these groups, may use it."""
    return user in secret.users or not set(secret.groups).isdisjoint(groups)


def is_name(text: str) -> bool:
    """Whether a secret may be called so."""
    return _NAME.fullmatch(text) is not None


def check_name(name: str) -> None:
    """Refuse what is no name of a secret: it names a file, and perhaps an environment variable.

    Raises:
        BadInput: reason "secret".
    """
    if not is_name(name):
        raise BadInput(
            "{name} is no name of a secret: up to 64 letters, digits and '_', no digit first.",
            reason="secret", name=repr(name[:70]),
        )


def check_names(names: Iterable[str]) -> None:
    """Refuse what no run can ask for.

    Raises:
        BadInput: reason "secret".
    """
    asked = list(names)
    for name in asked:
        check_name(name)
    if len(asked) > MOST:
        raise BadInput(
            "A run may have up to {most} secrets; {count} were asked for.", reason="secret",
            most=MOST, count=len(asked),
        )


def value_of(given: bytes, *, env: bool) -> bytes:
    """The value in what somebody has typed or piped in: one line loses its end.

    Several lines keep all: a private key without its last line's end is none.

    Raises:
        BadInput: nothing, too much, or what cannot be an environment variable and is to be one.
    """
    line = given.removesuffix(b"\n").removesuffix(b"\r")
    value = given if b"\n" in line else line
    if not value.strip():
        raise BadInput("The secret is empty: give its value on standard input.", reason="secret")
    if len(value) > LARGEST:
        raise BadInput("A secret has at most {most} bytes.", reason="secret", most=LARGEST)
    if env and not _is_text(value):
        raise BadInput(
            "Only text without NUL can be an environment variable: leave --env out, and read the "
            "file.", reason="secret",
        )
    return value


def _is_text(value: bytes) -> bool:
    try:
        return "\0" not in value.decode()
    except UnicodeDecodeError:
        return False

"""The installation's secrets: files of mode 600 in `<data>/secrets`, made once, never in a log."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from hub.config import Settings
from hub.errors import Unavailable

# JupyterHub refuses an administrators' password shorter than 32 characters
_MADE_BY: dict[str, Callable[[], str]] = {
    "cookie-secret": lambda: secrets.token_hex(32),
    "proxy.token": lambda: secrets.token_hex(32),
    "operator.token": lambda: secrets.token_hex(32),
    "user-password": lambda: _readable(10),
    "admin-password": lambda: _readable(32),
}
_CLEAR = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that reads as something else


def path(settings: Settings, name: str) -> Path:
    """Where the secret `name` is."""
    return settings.data / "secrets" / name


def ensure(settings: Settings) -> None:
    """Every secret exists afterwards; those that exist are left as they are.

    Raises:
        Unavailable: the folder cannot be written.
    """
    folder = settings.data / "secrets"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, make in _MADE_BY.items():
            if not path(settings, name).exists():
                _write_new(path(settings, name), make())
    except OSError as e:
        raise Unavailable(
            "Cannot write the secrets in {folder}: {error}. Run as root, or choose another data "
            "folder (MADANG_DATA).", folder=folder, error=e) from e


def read(settings: Settings, name: str) -> str:
    """The secret `name`.

    Raises:
        Unavailable: it is not there or may not be read.
    """
    try:
        return path(settings, name).read_text().strip()
    except OSError as e:
        raise Unavailable(
            "Cannot read {path}: {error}. `madang serve` makes it; it is root's.",
            path=path(settings, name), error=e) from e


def _readable(length: int) -> str:
    return "".join(secrets.choice(_CLEAR) for _ in range(length))


def _write_new(target: Path, text: str) -> None:
    # whole or not at all, and the first of two writers wins: hub and command line may both be first
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
    try:
        os.link(aside, target)
    except FileExistsError:
        pass
    finally:
        aside.unlink()

"""Names of people as safe parts of paths, labels and container names."""

import hashlib

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_LONGEST = 48  # a container name is at most 63 and carries a prefix and a server name


def safe_name(name: str) -> str:
    """`name` as lower-case letters, digits and dashes; different names never give the same text.

    Each other byte of the UTF-8 form becomes `-xx` (hex), the dash too, so the map can be inverted.
    A result over 48 characters is cut and given 16 hex digits of its SHA-256.

    Raises:
        ValueError: for an empty name.
    """
    if not name:
        raise ValueError("a name must not be empty")
    text = "".join(
        chr(b) if chr(b) in _PLAIN else f"-{b:02x}" for b in name.encode()
    )
    if len(text) <= _LONGEST:
        return text
    # "--" cannot come out of the map above, so a shortened name never equals a whole one
    return f"{text[:_LONGEST - 18].rstrip('-')}--{hashlib.sha256(name.encode()).hexdigest()[:16]}"

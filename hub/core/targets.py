"""Where somebody wants to be told that a run has ended: a web address, a mailbox, a topic of ntfy.

Pure: which address a name leads to is looked at in `edge.outward`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, quote, urlsplit

from hub.errors import BadInput

MOST = 5  # of one run
LONGEST = 500  # characters of one
PORTS = frozenset({80, 443, 8080, 8443})  # of hosts that the operator has not named
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}", re.ASCII)
_PATH = "/%:@!$&'()*+,;=~-._"  # what stands for itself in a path; a space or 한글 is written out
_FIRST_SHOWN = 60


class Kind(StrEnum):
    """How it is told."""

    WEBHOOK = "webhook"
    MAIL = "mail"
    NTFY = "ntfy"


@dataclass(frozen=True)
class Target:
    """One place. `url`: where to POST to, of a webhook and of ntfy; `topic`: of ntfy.

    `ours`: on the server of the setting `ntfy_server`.
    """

    kind: Kind
    url: str = ""
    host: str = ""
    port: int = 0
    topic: str = ""
    address: str = ""
    ours: bool = False

    @property
    def shown(self) -> str:
        """What of it may stand in a log: a webhook's path and a topic are as good as passwords."""
        return self.address or f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Reach:
    """What the operator lets be told. `hosts`: patterns like `chat.example.org` or `10.1.2.3:*`.

    `domains`: to which mail may go, besides to a person whose name is an address. `mail`: whether
    any can be sent. `ntfy`: the server of topics without one.
    """

    hosts: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    mail: bool = False
    ntfy: str = "https://ntfy.sh"


def parse(text: str, reach: Reach) -> Target:
    """The place that a text names.

    Raises:
        BadInput: reason "notify".
    """
    if len(text) > LONGEST or not text.isprintable():
        raise _no_target(text)
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "mailto":
        return Target(Kind.MAIL, address=_address(rest))
    if scheme.lower() == "ntfy":
        topic = rest.removeprefix("//").removesuffix("/")
        if not _TOPIC.fullmatch(topic):
            raise _no_target(text)
        return replace(_ntfy(_split(f"{reach.ntfy.rstrip('/')}/{topic}"), text), ours=True)
    if scheme.lower() in {"ntfy+https", "ntfy+http"}:
        return _ntfy(_split(text[len("ntfy+"):]), text)
    if scheme.lower() in {"https", "http"}:
        return _webhook(_split(text))
    raise _no_target(text)


def check(texts: Iterable[str], reach: Reach, user: str) -> tuple[Target, ...]:
    """The places that a run may name; whom mail may go to.

    Raises:
        BadInput: reason "notify".
    """
    asked = list(texts)
    if len(asked) > MOST:
        raise BadInput(
            "A run tells up to {most} places that it has ended; {count} were asked for.",
            reason="notify", most=MOST, count=len(asked),
        )
    found = tuple(parse(x, reach) for x in asked)
    for one in found:
        if one.kind is Kind.MAIL:
            _check_mail(one.address, reach, user)
        else:
            _check_port(one, reach)
    return found


def named(target: Target, reach: Reach) -> bool:
    """Whether the operator has named this host, on this port: then it may be anywhere."""
    places = (f"{target.host}:{target.port}", *([target.host] if target.port in PORTS else ()))
    return target.ours or any(
        fnmatchcase(x, pattern.lower()) for x in places for pattern in reach.hosts
    )


def _check_port(target: Target, reach: Reach) -> None:
    if target.port not in PORTS and not named(target, reach):
        raise BadInput(
            "Port {port} is not one that Madang sends to. Take 443, or ask the operator to allow "
            "{host}:{port} (notify_hosts).", reason="notify", host=target.host, port=target.port,
        )


def _check_mail(address: str, reach: Reach, user: str) -> None:
    if not reach.mail:
        raise BadInput(
            "This Madang sends no mail. Name a web address, or ask the operator to set smtp_host.",
            reason="notify",
        )
    domain = address.rpartition("@")[2].lower()
    if address.lower() == user.lower() or domain in {x.lower() for x in reach.domains}:
        return
    if reach.domains:
        raise BadInput(
            "Mail goes to addresses of {domains} only, and {address} is none. Ask the operator to "
            "allow more (notify_mail_domains).", reason="notify", address=address,
            domains=", ".join(reach.domains),
        )
    raise BadInput(
        "Mail does not go to {address}. Ask the operator to allow it (notify_mail_domains).",
        reason="notify", address=address,
    )


# ---- parts ---------------------------------------------------------------------------------------


def _webhook(at: SplitResult) -> Target:
    host, port = _place(at)
    path = quote(at.path or "/", safe=_PATH) + (
        f"?{quote(at.query, safe=_PATH + '?')}" if at.query else ""
    )
    return Target(Kind.WEBHOOK, f"{at.scheme}://{_written(host, at)}{path}", host, port)


def _ntfy(at: SplitResult, text: str) -> Target:
    host, port = _place(at)
    base, _, topic = at.path.rstrip("/").rpartition("/")
    if not _TOPIC.fullmatch(topic) or at.query:
        raise _no_target(text)
    url = f"{at.scheme}://{_written(host, at)}{quote(base, safe=_PATH)}/"
    return Target(Kind.NTFY, url, host, port, topic=topic)


def _split(text: str) -> SplitResult:
    try:
        found = urlsplit(text)
        port = found.port
    except ValueError as e:
        raise _no_target(text) from e
    if found.username is not None or found.password is not None:
        raise BadInput(
            "Write no name and no password into the address {target}: it is shown to whoever sees "
            "the run. Take a webhook with a token of its own.", reason="notify",
            target=repr(f"{found.scheme}://…@{found.hostname}"[:_FIRST_SHOWN]),
        )
    if not found.hostname or port == 0:
        raise _no_target(text)
    return found


def _place(at: SplitResult) -> tuple[str, int]:
    """(host in ASCII and lower case, port)."""
    host = at.hostname or ""
    if "%" in host:  # of an IPv6 address: an interface of this machine
        raise _no_target(at.geturl())
    if ":" not in host:  # an IPv6 address was looked at by urlsplit
        try:
            host = host.encode("idna").decode()
        except UnicodeError as e:
            raise _no_target(at.geturl()) from e
        if not _HOST.fullmatch(host):
            raise _no_target(at.geturl())
    return host.lower().rstrip("."), at.port or (443 if at.scheme == "https" else 80)


def _written(host: str, at: SplitResult) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{at.port}" if at.port else shown


def _address(text: str) -> str:
    local, at, domain = text.rpartition("@")
    good = at and _LOCAL.fullmatch(local) and ".." not in f".{local}." and _HOST.fullmatch(domain)
    if not good or len(text) > 254:  # noqa: PLR2004 - RFC 5321
        raise BadInput(
            "{address} is no mail address: write mailto:NAME@DOMAIN, one address and nothing "
            "more.", reason="notify", address=repr(text[:_FIRST_SHOWN]),
        )
    return text


def _no_target(text: str) -> BadInput:
    return BadInput(
        "{target} is no place to send to: write https://…, mailto:NAME@DOMAIN, ntfy://TOPIC or "
        "ntfy+https://SERVER/TOPIC.", reason="notify", target=repr(text[:_FIRST_SHOWN]),
    )

"""A POST to an address that a student has named, from the machine that the hub runs on.

That machine sees what a student does not: itself, the campus, the cloud's metadata. So a name is
resolved once, every address it has must be a public one of somebody else, and the connection goes
to such an address and nowhere else: no redirect, no proxy of the environment, one deadline for the
whole. Of the answer the status counts and nothing is kept, so nobody can read by this.
"""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

from hub.errors import BadInput, Unknown

_CONNECT, _LONGEST = 5.0, 15.0  # seconds: for one address, for all of it
_LOOK_UP = 2.0  # seconds that somebody who submits waits for a name
_LOOKING = 8  # look-ups at a time
_MOST = 4  # addresses that are tried
# public by the registry, and a cloud's own: Azure's wire server
_CLOUDS = frozenset({ipaddress.ip_address("168.63.129.16")})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Outward:
    """POSTs to the world outside, and to nothing of ours.

    Args:
        deny: networks besides, as of the setting `deny`.
    """

    def __init__(self, deny: Iterable[str] = ()) -> None:
        self._deny = [ipaddress.ip_network(x, strict=False) for x in deny]
        self._looking = threading.BoundedSemaphore(_LOOKING)
        self._trust = ssl.create_default_context()

    def check(self, host: str, port: int) -> None:
        """Refuse a host that is none of the world outside, as far as its name is known just now.

        Raises:
            BadInput: reason "notify".
        """
        self._refuse(host, self._known(host, port))

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, named: bool = False
    ) -> int:
        """The status of the answer.

        Args:
            named: the operator has named the host, so it may be anywhere.

        Raises:
            BadInput: reason "notify": the host is none of the world outside.
            Unknown: no answer, or none in time; it may have arrived.
        """
        at = urlsplit(url)
        host = at.hostname or ""
        tls = self._trust if at.scheme == "https" else None
        port = at.port or (443 if tls else 80)
        try:
            found = _resolved(host, port)
            if not named:
                self._refuse(host, found)
            line = _Line(host, port, found[:_MOST], tls)
            path = f"{at.path or '/'}{f'?{at.query}' if at.query else ''}"
            return line.post(path, body, headers)
        except (OSError, HTTPException, UnicodeError, ValueError) as e:
            raise Unknown(f"{type(e).__name__}: {e}") from e

    def _known(self, host: str, port: int) -> list[str]:
        """The addresses of a name, none where no name server tells in time."""
        found: list[str] = []

        def look() -> None:
            with suppress(OSError, UnicodeError):
                found.extend(_resolved(host, port))
            self._looking.release()

        if self._looking.acquire(blocking=False):
            # a thread of its own, which nobody waits for at the end: a name server may be dead
            thread = threading.Thread(target=look, name="madang-names", daemon=True)
            thread.start()
            thread.join(_LOOK_UP)
        return list(found)

    def _refuse(self, host: str, found: Iterable[str]) -> None:
        for text in found:
            address = ipaddress.ip_address(text)
            if not _outside(address) or _here(address) or any(
                address in x for x in self._deny if x.version == address.version
            ):
                raise BadInput(
                    "Madang does not send to {host}: its address {address} is not one of the "
                    "public internet. Ask the operator to allow it (notify_hosts).",
                    reason="notify", host=host, address=text,
                )


class _Line(HTTPConnection):
    """One connection to one of these addresses, whatever the name leads to by then."""

    def __init__(
        self, host: str, port: int, found: Iterable[str], tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(host, port, timeout=_CONNECT)
        if tls is not None:
            self.default_port = 443  # what is left out of the header Host
        self._found = list(found)
        self._tls = tls
        self._over = threading.Event()

    def connect(self) -> None:
        """Connect to the first address that answers.

        Raises:
            OSError: none does, or its certificate is not the host's.
        """
        self.sock = self._first()
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            self._go_on()
            self.sock.do_handshake()

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status; all of it within the deadline, however slowly the other side speaks.

        Raises:
            OSError, HTTPException: no answer.
        """
        end = threading.Timer(_LONGEST, self._abort)
        end.daemon = True
        end.start()
        try:
            self.request("POST", path, body, dict(headers))
            answer: HTTPResponse = self.getresponse()
            return answer.status
        except (OSError, HTTPException, ValueError, AttributeError) as e:
            if self._over.is_set():  # what the torn line looks like depends on where it was
                raise TimeoutError(f"no answer within {_LONGEST:.0f} s") from e
            raise
        finally:
            end.cancel()
            self.close()

    def _first(self) -> socket.socket:
        problem: OSError | None = None
        for address in self._found:
            self._go_on()
            try:
                return socket.create_connection((address, self.port), _CONNECT)
            except OSError as e:
                problem = e
        raise problem or OSError("no address")

    def _go_on(self) -> None:
        if self._over.is_set():
            raise TimeoutError

    def _abort(self) -> None:
        self._over.set()
        line = self.sock
        if line is not None:
            with suppress(OSError):
                # not SSLSocket's own, which would take the line's state from under the other thread
                socket.socket.shutdown(line, socket.SHUT_RDWR)


def _resolved(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(x[4][0]) for x in found))


def _outside(address: _Address) -> bool:
    """Whether it is of the public internet, and so is what is written inside of it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _outside(inner)
        if address.teredo or address.is_site_local:
            return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address in _CLOUDS
    )


def _here(address: _Address) -> bool:
    """Whether it is one of this machine's own; a datagram's socket sends nothing to learn it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), 9))
        return ipaddress.ip_address(probe.getsockname()[0]) == address
    return False

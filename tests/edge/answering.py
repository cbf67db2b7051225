"""A web server and a mail server for tests: real sockets, and what they were told."""

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Web:
    """A web server; `answer` is the status, or something that speaks for itself."""

    answer: int | Callable[[BaseHTTPRequestHandler], None] = 204
    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def web(*, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """A web server on 127.0.0.1."""
    made = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            headers = {k.lower(): x for k, x in self.headers.items()}
            made.asked.append(Asked(self.path, headers, self.rfile.read(length)))
            if callable(made.answer):
                made.answer(self)
            else:
                self.send_response(made.answer)
                self.send_header("Location", f"{made.url}/moved")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", port), Handler)) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        made.port = server.server_address[1]
        yield made


@dataclass
class Mail:
    """A mail server. `replies`: verb → what it says instead of doing it."""

    mails: list[tuple[str, list[str], str]] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    users: list[str] = field(default_factory=list)
    safe: list[bool] = field(default_factory=list)  # of each mail: came it by TLS
    port: int = 0


class _Talk(socketserver.StreamRequestHandler):
    """One talk with the mail server; its class knows the server and its certificate."""

    mail: Mail
    tls: ssl.SSLContext | None

    def say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self) -> None:
        self.say("220 here")
        self.sender, self.to = "", list[str]()
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ")[0].split(":")[0].upper()
            if verb in self.mail.replies:
                self.say(self.mail.replies[verb])
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                getattr(self, f"on_{verb.lower()}", self.on_any)(line)

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    @property
    def safe(self) -> bool:
        return isinstance(self.connection, ssl.SSLSocket)

    def on_ehlo(self, _: str) -> None:
        self.say("250-here")
        if self.tls and not self.safe:
            self.say("250-STARTTLS")
        self.say("250 AUTH PLAIN")

    def on_starttls(self, _: str) -> None:
        assert self.tls
        self.say("220 go")
        self.connection = self.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)

    def on_auth(self, line: str) -> None:
        self.mail.users.append(base64.b64decode(line.split(" ")[2]).decode())
        self.say("235 in")

    def on_mail(self, line: str) -> None:
        self.sender = line[10:]
        self.say("250 fine")

    def on_rcpt(self, line: str) -> None:
        self.to.append(line[8:])
        self.say("250 fine")

    def on_data(self, _: str) -> None:
        self.say("354 go")
        text = b""
        while (part := self.rfile.readline()) != b".\r\n":
            text += part
        self.mail.mails.append((self.sender, self.to, text.decode()))
        self.mail.safe.append(self.safe)
        self.say("250 taken")

    def on_any(self, _: str) -> None:
        self.say("250 fine")


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None) -> Iterator[Mail]:
    """A mail server on 127.0.0.1 that takes everything."""
    made = Mail()
    talk = type("Talk", (_Talk,), {"mail": made, "tls": tls})
    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), talk)) as server:
        made.port = server.server_address[1]
        yield made


@contextmanager
def _serving(server: Any) -> Iterator[Any]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """(a server's side for this host, the file of its certificate)."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "cert.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public

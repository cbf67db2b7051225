"""POSTs to where students say: they reach the world outside, and nothing of ours."""

import ipaddress
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from hub.edge import outward
from hub.edge.outward import Outward
from hub.errors import BadInput, Unknown
from tests.edge.answering import Web, certificate, web

BODY, JSON = b'{"a": 1}', {"Content-Type": "application/json"}


@pytest.fixture
def there() -> Iterator[Web]:
    with web() as made:
        yield made


def names(monkeypatch: pytest.MonkeyPatch, **known: list[str]) -> None:
    """A name server that knows these; `_` stands for a dot."""
    real = socket.getaddrinfo

    def look_up(host: str, *rest: Any, **more: Any) -> Any:
        for each in known.get(str(host).replace(".", "_"), []):
            return [x for each in known[host.replace(".", "_")] for x in real(each, *rest, **more)]
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.8.9.10", "0.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.1", "198.18.0.1",
    "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1",
    "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "100::1",
])
def test_what_is_not_the_public_internet(address: str) -> None:
    assert not outward._outside(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", [
    "8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808",
    "2002:808:808::1", "::ffff:8.8.8.8",
])
def test_what_is(address: str) -> None:
    assert outward._outside(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0",
    "::1", "::ffff:127.0.0.1", "169.254.169.254", "10.1.2.3",
])
def test_no_way_of_writing_it_leads_to_this_machine(there: Web, host: str) -> None:
    shown = f"[{host}]" if ":" in host else host
    with pytest.raises(BadInput) as e:
        Outward().check(host, there.port)
    assert e.value.reason == "notify"
    with pytest.raises(BadInput):
        Outward().post(f"http://{shown}:{there.port}/", BODY, JSON)
    assert there.asked == []


def test_this_machines_own_addresses_are_not_outside() -> None:
    """Also a public one, from which it may be let in where others are not."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with probe:
        probe.connect(("192.0.2.1", 9))
        mine = probe.getsockname()[0]
    assert outward._here(ipaddress.ip_address(mine))
    assert not outward._here(ipaddress.ip_address("8.8.8.8"))


def test_networks_that_containers_must_not_reach_are_none_of_its_either(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, inside_example=["8.8.8.8"])
    Outward(["9.0.0.0/8", "fd00::/8"]).check("inside.example", 443)
    with pytest.raises(BadInput):
        Outward(["8.0.0.0/8"]).check("inside.example", 443)


def test_one_bad_address_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, two_example=["8.8.8.8", "127.0.0.1"])
    with pytest.raises(BadInput) as e:
        Outward().check("two.example", 443)
    assert "127.0.0.1" in e.value.message


def test_a_name_that_leads_elsewhere_a_moment_later_is_not_followed(
    there: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: whatever it leads to is looked up once, and that is where one connects."""
    asked = []

    def look_up(host: object, port: object, *rest: object, **more: object) -> Any:
        asked.append(host)
        first = len([x for x in asked if x == "turn.example"]) == 1
        place = ("192.0.2.1" if first else "127.0.0.1", there.port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place)]

    monkeypatch.setattr(outward, "_outside", lambda x: str(x) != "127.0.0.1")
    monkeypatch.setattr(outward, "_CONNECT", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(Unknown):
        Outward().post(f"http://turn.example:{there.port}/", BODY, JSON)
    assert asked.count("turn.example") == 1
    assert there.asked == []


def test_a_post_arrives_whole(there: Web) -> None:
    there.answer = 201
    status = Outward().post(f"{there.url}/hook?x=1", BODY, JSON, named=True)
    assert status == 201
    (asked,) = there.asked
    assert (asked.path, asked.body) == ("/hook?x=1", BODY)
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["host"] == f"127.0.0.1:{there.port}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(there: Web, status: int) -> None:
    there.answer = status
    assert Outward().post(there.url, BODY, JSON, named=True) == status
    assert [x.path for x in there.asked] == ["/"]


def test_a_proxy_of_the_environment_is_not_asked(
    there: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert Outward().post(there.url, BODY, JSON, named=True) == 204


def test_who_speaks_slowly_is_not_listened_to_for_ever(
    there: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, and the whole does not."""
    def drip(handler: BaseHTTPRequestHandler) -> None:
        try:
            for _ in range(600):
                handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                handler.wfile.flush()
                outward.threading.Event().wait(0.05)
        except OSError:
            pass

    there.answer = drip
    monkeypatch.setattr(outward, "_LONGEST", 0.5)
    with pytest.raises(Unknown, match="no answer within"):
        Outward().post(there.url, BODY, JSON, named=True)


@pytest.mark.parametrize("answer", [
    b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500,
])
def test_an_answer_that_is_none(there: Web, answer: bytes) -> None:
    def say(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(answer)
        handler.close_connection = True

    there.answer = say
    with pytest.raises(Unknown):
        Outward().post(there.url, BODY, JSON, named=True)


def test_nobody_there_is_no_answer() -> None:
    with web() as gone:
        url = gone.url
    with pytest.raises(Unknown, match="ConnectionRefusedError"):
        Outward().post(url, BODY, JSON, named=True)
    with pytest.raises(Unknown):
        Outward().post("http://no-such-name.invalid/", BODY, JSON)
    Outward().check("no-such-name.invalid", 443)  # perhaps tomorrow


def test_tls_is_of_the_name_and_not_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, public = certificate(tmp_path, "right.example")
    names(monkeypatch, right_example=["127.0.0.1"], wrong_example=["127.0.0.1"])
    with web(tls=context) as safe:
        unknown = Outward()
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        known = Outward()
        where = f"https://right.example:{safe.port}/"
        assert known.post(where, BODY, JSON, named=True) == 204
        with pytest.raises(Unknown, match="CERTIFICATE_VERIFY_FAILED"):
            unknown.post(where, BODY, JSON, named=True)
        with pytest.raises(Unknown, match=r"wrong\.example"):
            known.post(where.replace("right", "wrong"), BODY, JSON, named=True)
    assert len(safe.asked) == 1
    assert safe.asked[0].headers["host"] == f"right.example:{safe.port}"

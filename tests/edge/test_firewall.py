"""From inside real containers: what they reach, and what they would reach without the rules."""

import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from tests.edge.street import (
    BEHIND,
    METADATA,
    PROBE,
    REGISTRY,
    Street,
    listening,
    metadata_here,
    outside,
    sh,
)

pytestmark = pytest.mark.docker


def test_the_hub_and_the_service_are_reached(walled: Street):
    gateway, ports = walled.network.gateway, walled.ports
    assert walled.reached((gateway, ports["hub"]), (gateway, ports["service"])) == sorted([
        f"{gateway}:{ports['hub']}", f"{gateway}:{ports['service']}",
    ])


def test_nothing_else_of_this_machine_is(street: Street):
    ports, gateway = street.ports, street.network.gateway
    others = [x.split("/")[0] for x in sh("ip -4 -o addr show scope global").split() if "/" in x]
    assert gateway in others
    places = [(x, ports["other"]) for x in others if x[0].isdigit()]
    assert len(street.reached(*places)) == len(places), "unreachable without the rules as well"
    street.firewall.ensure(**street.rules())
    try:
        assert street.reached(*places) == []
        # the proxy's API is on 127.0.0.1; a container's own 127.0.0.1 is another one
        assert street.reached(("127.0.0.1", ports["proxy"]), (gateway, ports["proxy"])) == []
        # the hub's port on this machine's other addresses is not the hub's
        with listening(others[-1] if others[-1] != gateway else others[0], ports["hub"]) as port:
            assert street.reached(*[(x, port) for x in others if x != gateway]) == []
    finally:
        street.firewall.remove()


def test_no_other_container_is(walled: Street):
    with socket.create_connection((walled.b_ip, 8888), timeout=5) as line:
        assert line.recv(5) == b"hello"  # this machine (the proxy) does reach it
    assert walled.reached((walled.b_ip, 8888)) == []


def test_a_metadata_service_on_this_machine_is_not(street: Street):
    with metadata_here(), listening(METADATA) as port:
        assert street.reached((METADATA, port)), "unreachable without the rules as well"
        street.firewall.ensure(**street.rules())
        try:
            assert street.reached((METADATA, port)) == []
        finally:
            street.firewall.remove()


def test_a_metadata_service_behind_a_router_is_not_and_the_rest_outside_is(street: Street):
    with outside() as port:
        both = ((BEHIND, port), (REGISTRY, port))
        assert len(street.reached(*both)) == 2, "unreachable without the rules as well"
        street.firewall.ensure(**street.rules())
        try:
            assert street.reached(*both) == [f"{REGISTRY}:{port}"]
            assert street.firewall.ensure(**street.rules(deny=("198.51.100.0/24",)))
            assert street.reached(*both) == [f"{BEHIND}:{port}"]
            street.firewall.ensure(**street.rules(deny=("0.0.0.0/0",)))
            assert street.reached(*both) == []
            gateway, hub = street.network.gateway, street.ports["hub"]
            assert street.reached((gateway, hub)) == [f"{gateway}:{hub}"]
        finally:
            street.firewall.remove()


def test_udp_is_not_forgotten(street: Street):
    code = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(1)\n"
        f"s.connect(('{street.network.gateway}', PORT)); s.send(b'x')\n"
        "try: print(s.recv(5).decode())\nexcept OSError: print('no')"
    )

    def ask() -> str:
        with socket.socket(type=socket.SOCK_DGRAM) as server:
            server.bind(("0.0.0.0", 0))  # noqa: S104
            server.settimeout(3)

            def answer() -> None:
                with suppress(OSError):
                    _, who = server.recvfrom(5)
                    server.sendto(b"hello", who)

            thread = threading.Thread(target=answer)
            thread.start()
            said = street.yard.ask(street.a, code.replace("PORT", str(server.getsockname()[1])))
            thread.join()
            return said

    assert ask() == "hello", "unreachable without the rules as well"
    street.firewall.ensure(**street.rules())
    try:
        assert ask() == "no"
    finally:
        street.firewall.remove()


def test_ipv6_is_no_way_round(street: Street):
    """A neighbour on the bridge with a link-local address, which Docker's containers lack."""
    assert street.yard.ask(street.a, "print(open('/proc/net/if_inet6').read())").strip() in (
        "", "00000000000000000000000000000001 01 80 10 80       lo"
    )
    bridge = street.network.bridge
    ns, here = f"md{secrets.token_hex(3)}", f"v{secrets.token_hex(3)}"
    words = sh(f"ip -6 -o addr show dev {bridge}").split()
    address = next(x.split("/")[0] for x in words if x.startswith("fe80"))
    place = json.dumps([(f"{address}%eth0", street.ports["six"])])

    def ask() -> str:
        argv = ["ip", "netns", "exec", ns, sys.executable, "-c", PROBE, place]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    sh(f"ip netns add {ns}")
    try:
        sh(f"ip link add {here} type veth peer name eth0 netns {ns}")
        sh(f"ip link set {here} master {bridge} up")
        sh(f"ip -n {ns} link set eth0 up")
        end = time.monotonic() + 20
        while "hello" not in ask():  # until duplicate address detection is over
            assert time.monotonic() < end, "unreachable without the rules as well"
            time.sleep(0.2)
        street.firewall.ensure(**street.rules())
        assert "hello" not in ask()
    finally:
        street.firewall.remove()
        sh(f"ip link del {here}", check=False)
        sh(f"ip netns del {ns}")

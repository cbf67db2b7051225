"""Two containers on the containers' network, and servers all around that they may try to reach."""

import json
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pytest

from hub.edge.engine import Network
from hub.edge.firewall import Firewall
from tests.edge.docker_fixtures import Yard, yard_at

METADATA = "169.254.169.254"
BEHIND = "169.254.170.2"  # another link-local address, behind a router
REGISTRY = "198.51.100.2"  # a server outside that containers may use
PROBE = """
import json, socket, sys
said = {}
for host, port in json.loads(sys.argv[1]):
    try:
        with socket.create_connection((host, port), timeout=2) as s:
            said[f'{host}:{port}'] = s.recv(5).decode()
    except OSError as e:
        said[f'{host}:{port}'] = 'no'
print(json.dumps(said))
"""
SERVE = """
import socket, sys
s = socket.create_server((sys.argv[1], int(sys.argv[2])))
print('up', flush=True)
while True:
    c, _ = s.accept(); c.sendall(b'hello'); c.close()
"""


def sh(line: str, *, check: bool = True) -> str:
    done = subprocess.run(line.split(), capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def ours(street: "Street") -> list[str]:
    """This installation's rules; others on this machine have theirs, and change them."""
    rules = f"{sh('iptables -S')}{sh('ip6tables -S')}".splitlines()
    return [x for x in rules if street.firewall.base in x]


@contextmanager
def listening(address: str, port: int = 0) -> Iterator[int]:
    """A server on this machine that says hello; its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as server:
        def serve() -> None:
            with suppress(OSError):
                while True:
                    line, _ = server.accept()
                    with line:
                        line.sendall(b"hello")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)  # close alone leaves accept waiting
        thread.join(5)


@dataclass
class Street:
    """Two containers on the network, and servers all around; `ports` by what they stand for."""

    yard: Yard
    network: Network
    firewall: Firewall
    a: str
    b_ip: str
    ports: dict[str, int]

    def rules(self, **more: Any) -> dict[str, Any]:
        return {
            "bridge": self.network.bridge, "gateway": self.network.gateway,
            "ports": (self.ports["hub"], self.ports["service"]), "deny": ("169.254.0.0/16",),
            **more,
        }

    def reached(self, *places: tuple[str, int]) -> list[str]:
        """Which of the places container A gets an answer from."""
        made = self.yard.docker.exec_create(self.a, ["python", "-c", PROBE, json.dumps(places)])
        said = json.loads(self.yard.docker.exec_start(made["Id"]))
        return sorted(k for k, v in said.items() if v == "hello")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with ExitStack() as stack:
        yard = stack.enter_context(yard_at(tmp_path_factory.mktemp("street")))
        network = yard.engine.ensure_network()
        serve = SERVE.replace("sys.argv[1]", "'0.0.0.0'").replace("int(sys.argv[2])", "8888")
        yard.start(serve, lease="b", network=network.name)
        yard.start("import time; time.sleep(3600)", lease="a", network=network.name)
        found = {x.lease: x.id for x in yard.engine.containers()}
        b = yard.docker.inspect_container(found["b"])["NetworkSettings"]["Networks"]
        # Docker gives the bridge its address a moment after the network is there
        ports = {
            "hub": stack.enter_context(listening(network.gateway)),
            "service": stack.enter_context(listening(network.gateway)),
            "other": stack.enter_context(listening("0.0.0.0")),  # noqa: S104
            "proxy": stack.enter_context(listening("127.0.0.1")),
            "six": stack.enter_context(listening("::")),
        }
        yield Street(
            yard, network, Firewall(yard.settings), found["a"], b[network.name]["IPAddress"], ports
        )


@pytest.fixture
def walled(street: Street) -> Iterator[Street]:
    street.firewall.ensure(**street.rules())
    try:
        yield street
    finally:
        street.firewall.remove()
        for program in ("iptables", "ip6tables"):
            assert street.firewall.base not in sh(f"{program} -S")


@contextmanager
def outside() -> Iterator[int]:
    """A namespace as a router's far side: REGISTRY, and a metadata service BEHIND it. The port."""
    ns, here = f"md{secrets.token_hex(3)}", f"v{secrets.token_hex(3)}"
    port = 8080
    serving: list[subprocess.Popen[str]] = []
    sh(f"ip netns add {ns}")
    try:
        sh(f"ip link add {here} type veth peer name eth0 netns {ns}")
        sh(f"ip addr add 198.51.100.1/30 dev {here}")
        sh(f"ip link set {here} up")
        for line in ("link set lo up", "link set eth0 up", f"addr add {REGISTRY}/30 dev eth0",
                     f"addr add {BEHIND}/32 dev lo", "route add default via 198.51.100.1"):
            sh(f"ip -n {ns} {line}")
        sh(f"ip route add {BEHIND}/32 via {REGISTRY}")
        argv = ["ip", "netns", "exec", ns, sys.executable, "-c", SERVE, "0.0.0.0", str(port)]  # noqa: S104
        serving.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True))
        assert serving[0].stdout
        assert serving[0].stdout.readline() == "up\n"
        yield port
    finally:
        for each in serving:
            each.kill()
            each.communicate()
        sh(f"ip link del {here}", check=False)
        sh(f"ip netns del {ns}")


@contextmanager
def metadata_here() -> Iterator[None]:
    sh(f"ip addr add {METADATA}/32 dev lo")
    try:
        yield
    finally:
        sh(f"ip addr del {METADATA}/32 dev lo")

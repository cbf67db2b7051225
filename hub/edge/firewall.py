"""What containers may reach: iptables chains of ours, before Docker's and everybody else's rules.

    INPUT        -i BRIDGE ─► MADANG-x-IN    answers; the hub and the service; all else is refused
    DOCKER-USER  -i BRIDGE ─► MADANG-x-OUT   the networks in `deny` are refused
    IPv6         INPUT and FORWARD           everything is refused

The bridge has no IPv6 network, but the host has a link-local address on it, and whatever listens
on [::] would be reachable there. Chains are replaced in one transaction, so there is no moment
without rules. Docker leaves DOCKER-USER alone when it starts anew, and so our rule in it.
"""

import hashlib
import ipaddress
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.config import Settings
from hub.errors import BadInput, Unavailable

_PREFIX = "MADANG-"
_ATTEMPTS = 3
_WAIT = "10"  # seconds for xtables' lock, which Docker and others take too


@dataclass(frozen=True)
class _Chain:
    """A chain of ours: the program that keeps it, where it is called, and its rules' text."""

    program: str
    name: str
    parent: str
    rules: tuple[str, ...]


class Firewall:
    """The rules of one installation. Needs root (or CAP_NET_ADMIN) and iptables."""

    def __init__(self, settings: Settings) -> None:
        self.base = _PREFIX + hashlib.sha256(settings.name.encode()).hexdigest()[:8].upper()

    def ensure(
        self, *, bridge: str, gateway: str, ports: Iterable[int], deny: Iterable[str]
    ) -> bool:
        """The rules are there, first in their place; True where something had to be changed.

        Args:
            bridge: the host's interface of the containers' network. gateway: its IPv4 address.
            ports: TCP ports at the gateway that containers may reach.
            deny: networks (IPv4, CIDR) behind the host that they may not.

        Raises:
            Unavailable: iptables is missing or refuses, or Docker keeps no DOCKER-USER chain.
            BadInput: `deny` or `gateway` is not an address.
        """
        changed = False
        for chain in self._chains(gateway, ports, deny):
            changed |= _mend(chain, bridge)
        return changed

    def check(
        self, *, bridge: str, gateway: str, ports: Iterable[int], deny: Iterable[str]
    ) -> tuple[str, ...]:
        """What is wrong with the rules, one text each; () when they are as `ensure` leaves them.

        Raises: as `ensure`.
        """
        chains = self._chains(gateway, ports, deny)
        return tuple(x for x in (_problem(c, bridge) for c in chains) if x)

    def remove(self) -> None:
        """Take away every rule and chain of this installation; gone already is fine.

        Raises:
            Unavailable: iptables is missing or refuses.
        """
        for program in _programs():
            rules = _run(program, "-S").splitlines()
            named = [x for x in rules if self.base in x]
            jumps = ["-D" + x[2:] for x in named if x.startswith("-A") and _target(x, self.base)]
            chains = [x.split()[1] for x in named if x.startswith("-N")]
            if named:
                flush = [f"-F {x}" for x in chains]
                _restore(program, [*jumps, *flush, *(f"-X {x}" for x in chains)])

    def _chains(
        self, gateway: str, ports: Iterable[int], deny: Iterable[str]
    ) -> list[_Chain]:
        address = _network(gateway, "gateway")
        refuse = "-j REJECT --reject-with icmp-port-unreachable"
        inward = (
            "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            *(f"-d {address} -p tcp -m tcp --dport {x} -j ACCEPT" for x in ports),
            refuse,
        )
        outward = tuple(f"{_to(_network(x, 'deny'))}{refuse}" for x in deny)
        chains = [
            _Chain("iptables", f"{self.base}-IN", "INPUT", inward),
            _Chain("iptables", f"{self.base}-OUT", "DOCKER-USER", outward),
        ]
        if "ip6tables" in _programs():
            refuse6 = ("-j REJECT --reject-with icmp6-port-unreachable",)
            chains += [
                _Chain("ip6tables", f"{self.base}-IN", "INPUT", refuse6),
                _Chain("ip6tables", f"{self.base}-OUT", "FORWARD", refuse6),
            ]
        return chains


def _mend(chain: _Chain, bridge: str) -> bool:
    """Write the chain where it is not right; True where it was not."""
    for attempt in range(_ATTEMPTS):
        if not _problem(chain, bridge):
            return attempt > 0
        try:
            _write(chain, bridge)
        except Unavailable:
            # the hub and its service may write at once, and one removes what the other has
            if attempt == _ATTEMPTS - 1:
                raise
    return True


def _problem(chain: _Chain, bridge: str) -> str:
    """What is wrong with one chain, in words; "" when nothing is."""
    there = _run(chain.program, "-S", chain.name, missing="")
    wanted = [f"-A {chain.name} {x}" for x in chain.rules]
    if there.splitlines()[1:] != wanted or not there:
        return f"{chain.program}: chain {chain.name} is not as it should be"
    calls = _calls(chain)
    ours = [i for i, x in enumerate(calls) if _target(x, chain.name)]
    # jumps of other installations may stand before ours: they are about other bridges
    before = calls[:ours[0]] if ours else []
    begins = all(_target(x, _PREFIX) for x in before)
    if len(ours) != 1 or calls[ours[0]] != _jump(chain, bridge) or not begins:
        return f"{chain.program}: {chain.parent} does not begin with {chain.name}"
    return ""


def _write(chain: _Chain, bridge: str) -> None:
    old = ["-D" + x[2:] for x in _calls(chain) if _target(x, chain.name)]
    _restore(chain.program, [
        f":{chain.name} - [0:0]",  # makes it, or empties it
        *(f"-A {chain.name} {x}" for x in chain.rules),
        *old,
        f"-I {chain.parent} 1 -i {bridge} -j {chain.name}",
    ])


def _calls(chain: _Chain) -> list[str]:
    """The rules of the chain that ours is called from."""
    there = _run(chain.program, "-S", chain.parent, missing="")
    if not there:
        raise Unavailable(
            "iptables has no chain {chain}, so containers cannot be kept from the networks in "
            "`deny`. Is dockerd running, and without iptables=false?",
            reason="firewall", chain=chain.parent,
        )
    return [x for x in there.splitlines() if x.startswith("-A")]


def _jump(chain: _Chain, bridge: str) -> str:
    return f"-A {chain.parent} -i {bridge} -j {chain.name}"


def _target(rule: str, prefix: str) -> bool:
    words = rule.split()
    return "-j" in words and words[words.index("-j") + 1].startswith(prefix)


def _to(network: ipaddress.IPv4Network) -> str:
    # iptables leaves "to everywhere" out when it prints a rule, and rules are compared as printed
    return f"-d {network} " if network.prefixlen else ""


def _network(text: str, what: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as e:
        raise BadInput("{what}: {error}. Give an IPv4 network such as 169.254.0.0/16.",
                       reason="config", what=what, error=e) from e


def _programs() -> tuple[str, ...]:
    """ip6tables too, unless the kernel has no IPv6."""
    return ("iptables", "ip6tables") if Path("/proc/sys/net/ipv6").exists() else ("iptables",)


def _run(program: str, *words: str, missing: str | None = None) -> str:
    """What iptables prints; `missing` where it does not know the chain."""
    done = _call([program, "--wait", _WAIT, *words], "")
    if done.returncode == 0:
        return done.stdout
    # iptables-nft 1.8.9 calls a chain that is not there "incompatible"
    unknown = "No chain" in done.stderr or "is incompatible" in done.stderr
    if missing is not None and done.returncode == 1 and unknown:
        return missing
    raise _refused(program, done.stderr)


def _restore(program: str, lines: Sequence[str]) -> None:
    """Change several rules at once: all of them or none."""
    text = "\n".join(["*filter", *lines, "COMMIT", ""])
    done = _call([f"{program}-restore", "--noflush", "--wait", _WAIT], text)
    if done.returncode != 0:
        raise _refused(program, done.stderr)


def _call(argv: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
    # a service's PATH may lack the folder where iptables lives
    program = shutil.which(argv[0]) or shutil.which(argv[0], path="/usr/sbin:/sbin")
    if program is None:
        raise Unavailable(
            "{program} is missing, so containers cannot be kept away from this machine. Install "
            "the package iptables.", reason="firewall", program=argv[0],
        )
    try:
        return subprocess.run(
            [program, *argv[1:]], input=text, capture_output=True, text=True, timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise _refused(argv[0], str(e)) from e


def _refused(program: str, said: str) -> Unavailable:
    return Unavailable(
        "{program} refused: {said}. Containers cannot be kept away from this machine.",
        reason="firewall", program=program, said=said.strip() or "no reason given",
    )

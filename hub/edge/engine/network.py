"""The containers' network: a bridge on which containers cannot reach each other."""

import hashlib
import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from hub.config import Settings
from hub.edge.engine.data import INSTANCE, Network
from hub.errors import BadInput, Unavailable

_ICC = "com.docker.network.bridge.enable_icc"
_BRIDGE = "com.docker.network.bridge.name"
_MTU = "com.docker.network.driver.mtu"
_LONGEST = 15  # characters of an interface's name in the kernel


def find(api: APIClient, name: str) -> Network | None:
    """The network of that name; None where there is none.

    Raises:
        Unavailable: it is not ours.
    """
    found = _find(api, name)
    return _facts(found) if found else None


def ensure(api: APIClient, settings: Settings, *, prepare: bool) -> Network:
    """The network as the settings want it.

    Made where missing; made anew where it differs and no container is on it; left as it is where
    only its MTU differs and containers are on it, or it is not a time to `prepare`.

    Raises:
        Unavailable: it is not ours, or it differs and containers are on it.
        BadInput: `subnet` is not an IPv4 network.
    """
    wanted = _wanted(settings)
    subnet = _subnet(settings)
    found = _find(api, settings.name)
    if found and _differs(found, wanted, subnet):
        hard = _differs(found, {k: v for k, v in wanted.items() if k != _MTU}, subnet)
        if hard or prepare:
            found = _discard(api, found, hard=hard)
    if not found:
        found = _make(api, settings.name, wanted, subnet)
    return _facts(found)


def remove(api: APIClient, name: str) -> None:
    """Remove it; gone already is fine."""
    found = _find(api, name)
    if found:
        with suppress(NotFound):
            api.remove_network(found["Id"])


def bridge_name(name: str) -> str:
    """The host's interface for the installation `name`: at most 15 characters.

    A shortened name is longer than any whole one, so the two are never the same.
    """
    whole = f"md-{name}"
    if len(whole) < _LONGEST:
        return whole
    return f"md-{name[:4]}-{hashlib.sha256(name.encode()).hexdigest()[:7]}"


def default_mtu() -> int:
    """MTU of the interface of this machine's default route; 1500 without one.

    A bridge keeps 1500 where the way out has less, and large answers from outside then vanish.
    """
    with suppress(OSError):
        rows = [x.split() for x in Path("/proc/net/route").read_text().splitlines()[1:]]
        ways = sorted((int(x[6]), x[0]) for x in rows if x[1] == "00000000" and x[7] == "00000000")
        if ways:
            return int(Path(f"/sys/class/net/{ways[0][1]}/mtu").read_text())
    return 1500


def _find(api: APIClient, name: str) -> dict[str, Any] | None:
    # Docker's filter finds every name that contains this one
    rows = [x for x in api.networks(names=[name]) if x["Name"] == name]
    if not rows:
        return None
    with suppress(NotFound):
        found: dict[str, Any] = api.inspect_network(rows[0]["Id"])
        if (found.get("Labels") or {}).get(INSTANCE) == name:
            return found
        raise Unavailable(
            "There is a Docker network “{name}” that Madang did not make. Remove it (docker "
            "network rm {name}), or give Madang another `name`.", reason="network", name=name,
        )
    return None


def _wanted(settings: Settings) -> dict[str, str]:
    return {_ICC: "false", _BRIDGE: bridge_name(settings.name), _MTU: str(default_mtu())}


def _subnet(settings: Settings) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(settings.subnet) if settings.subnet else None
    except ValueError as e:
        raise BadInput(
            "Setting subnet: {error}. Give an IPv4 network such as 10.20.0.0/24.",
            reason="config", error=e,
        ) from e


def _differs(
    found: Mapping[str, Any], wanted: Mapping[str, str], subnet: ipaddress.IPv4Network | None
) -> bool:
    options = found.get("Options") or {}
    has = found["IPAM"]["Config"][0]["Subnet"]
    return (
        any(options.get(k) != v for k, v in wanted.items())
        or (subnet is not None and str(subnet) != has)
        or found["EnableIPv6"]
    )


def _discard(api: APIClient, found: dict[str, Any], *, hard: bool) -> dict[str, Any] | None:
    """None when it was removed; `found` when containers are on it and it will do."""
    if found["Containers"]:
        if not hard:
            return found
        raise Unavailable(
            "The containers' network “{name}” was made with other settings, and {count} containers "
            "are on it. Stop them (madang down), then start again.",
            reason="network", name=found["Name"], count=len(found["Containers"]),
        )
    with suppress(NotFound):
        api.remove_network(found["Id"])
    return None


def _make(
    api: APIClient, name: str, wanted: Mapping[str, str], subnet: ipaddress.IPv4Network | None
) -> dict[str, Any]:
    # with a subnet but no gateway, Docker chooses one and does not tell
    pools = [IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))] if subnet else None
    try:
        api.create_network(
            name, driver="bridge", options=dict(wanted), labels={INSTANCE: name},
            check_duplicate=True, enable_ipv6=False,
            ipam=IPAMConfig(pool_configs=pools) if pools else None,
        )
    except APIError:
        # the hub and its service both come here at start; the loser finds the winner's
        found = _find(api, name)
        if not found:
            raise
        return found
    made = _find(api, name)
    if made is None:
        raise Unavailable("The containers' network vanished while it was made; try again.",
                          reason="network")
    return made


def _facts(found: Mapping[str, Any]) -> Network:
    pool = found["IPAM"]["Config"][0]
    options = found.get("Options") or {}
    return Network(
        name=found["Name"], id=found["Id"], gateway=pool["Gateway"].split("/")[0],
        bridge=options.get(_BRIDGE) or f"br-{found['Id'][:12]}", subnet=pool["Subnet"],
        mtu=int(options.get(_MTU) or 1500),
    )

"""Is this machine fit for Madang? One fact a line: what was found, and what to do about it.

Every check stands alone: what cannot be asked (no Docker, no root) is a fact, not an end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from hub import schedulefile
from hub.config import Settings
from hub.core.mig import Slice
from hub.edge import host
from hub.edge.engine import EngineFacts
from hub.edge.gpu.nvml import has_driver
from hub.edge.vault import Vault
from hub.edges import Edges, open_edges
from hub.errors import BadInput, Refusal, Unknown

_OLDEST_TOOLKIT = (1, 18)  # from here on CDI is refreshed, and device nodes survive daemon-reload
_OLDEST_NODE = (20,)
_HOMES_MIB = 10 * 1024
_IMAGES_MIB = 10 * 1024


class Level(StrEnum):
    """How bad it is. Only FAIL makes `madang doctor` exit with 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Fact:
    """One line of `madang doctor`; `advice` is empty where all is well."""

    name: str
    level: Level
    found: str
    advice: str = ""


def examine(settings: Settings, *, up: bool) -> Iterator[Fact]:
    """The facts, in the order in which they should be mended.

    Args:
        up: whether Madang runs: its ports are then its own.
    """
    edges = open_edges(settings)
    try:
        facts, engine = _engine(edges)
        yield engine
        if facts:
            yield from _docker_facts(settings, edges, facts)
        yield from _asked("cards", lambda: _cards(settings, edges))
        yield from _asked("database", lambda: _database(edges))
        yield from _asked("roster", lambda: _roster(edges))
        yield from _asked("schedules", lambda: _schedules(settings, edges))
        yield _disk("disk for homes", edges.homes.free_mib(), _HOMES_MIB,
                    settings.disk_free_mib, str(settings.data))
        yield _node()
        yield _git()
        yield from _asked("secrets", lambda: _secrets(settings))
        yield from _ports(settings, up=up)
    finally:
        edges.store.close()


def _asked(name: str, check: Callable[[], Iterator[Fact]]) -> Iterator[Fact]:
    try:
        yield from check()
    except (Refusal, Unknown) as e:
        yield Fact(name, Level.FAIL, str(e), "Mend what this says, then ask again.")


# ---- Docker ----------------------------------------------------------------------------------


def _engine(edges: Edges) -> tuple[EngineFacts | None, Fact]:
    try:
        facts = edges.engine.version()
    except (Refusal, Unknown) as e:
        return None, Fact(
            "Docker Engine", Level.FAIL, str(e),
            "Install it (apt-get install docker.io) or start it (systemctl start docker); "
            "`make run` does both.")
    return facts, Fact("Docker Engine", Level.OK, f"{facts.version} (API {facts.api})")


def _docker_facts(settings: Settings, edges: Edges, facts: EngineFacts) -> Iterator[Fact]:
    real = _real(settings)
    yield from _asked("pin", lambda: _pin(edges, real=real))
    yield _cgroups(facts, real=real)
    if facts.default_runtime == "nvidia":
        yield Fact("default runtime", Level.WARN, "nvidia",
                   "Make runc the default again: with nvidia, an image that says "
                   "NVIDIA_VISIBLE_DEVICES=all gets every card.")
    yield from _asked("images", lambda: _images(settings, edges))
    yield from _asked("network", lambda: _network(settings, edges))
    if facts.free_mib is not None:
        yield _disk("disk for images", facts.free_mib, _IMAGES_MIB, 1024, facts.root)


def _real(settings: Settings) -> bool:
    return settings.gpus == "nvml" or (settings.gpus == "auto" and has_driver())


def _pin(edges: Edges, *, real: bool) -> Iterator[Fact]:
    pin, hook = edges.engine.pin(), edges.engine.hook()
    where = f"{pin}" + (f", hook {hook}" if hook and pin == "device-request" else "")
    if pin != "env":
        yield Fact("pin", Level.OK, where)
    elif real:
        yield Fact("pin", Level.FAIL, "env: Docker hands out no GPU",
                   "Install nvidia-container-toolkit, then restart Docker: dockerd looks for "
                   "nvidia-container-runtime-hook once, when it starts.")
    else:
        yield Fact("pin", Level.WARN, "env: containers are told their slice, nothing checks it",
                   "For the whole way on simulated cards, start dockerd with "
                   "/usr/local/lib/madang/bin first on its PATH (`make run` does, where it is the "
                   "one to start it).")


def _cgroups(facts: EngineFacts, *, real: bool) -> Fact:
    driver = facts.cgroup_driver
    if driver != "systemd" or not real:
        return Fact("cgroup driver", Level.OK, driver)
    toolkit = host.version(["nvidia-ctk", "--version"])
    if toolkit and toolkit >= _OLDEST_TOOLKIT:
        return Fact("cgroup driver", Level.OK, f"systemd, toolkit {'.'.join(map(str, toolkit))}")
    return Fact(
        "cgroup driver", Level.WARN, "systemd, with an old or unknown NVIDIA toolkit",
        'After `systemctl daemon-reload` running containers lose their GPU. Put "exec-opts": '
        '["native.cgroupdriver=cgroupfs"] into /etc/docker/daemon.json and restart Docker, or take '
        "toolkit 1.18 or newer.")


def _images(settings: Settings, edges: Edges) -> Iterator[Fact]:
    here = edges.engine.images()
    for tag in settings.images:
        if tag in here:
            yield Fact("image", Level.OK, f"{tag} ({here[tag].partition(':')[2][:12]})")
        else:
            yield Fact("image", Level.FAIL, f"{tag} is not on this machine",
                       f"`make images` builds Madang's; `docker pull {tag}` fetches others. "
                       "Nothing is pulled while a student waits.")


def _network(settings: Settings, edges: Edges) -> Iterator[Fact]:
    found = edges.engine.network()
    if found is None:
        yield Fact("network", Level.OK, "not made yet; the hub makes it when it starts")
        return
    yield Fact("network", Level.OK,
               f"{found.name} {found.subnet} on {found.bridge}, containers apart from each other")
    wrong = edges.firewall.check(
        bridge=found.bridge, gateway=found.gateway,
        ports=(settings.hub_port, settings.service_port), deny=settings.deny)
    if wrong:
        yield Fact("firewall", Level.FAIL, "; ".join(wrong),
                   "Start Madang again (`make down`, `make run`): it writes the rules. If they go "
                   "again, another firewall program removes them.")
    else:
        yield Fact("firewall", Level.OK, "containers reach the hub and the service here, no more")


# ---- cards, store, machine -------------------------------------------------------------------


def _cards(settings: Settings, edges: Edges) -> Iterator[Fact]:
    sample = edges.gpus.sample()
    kind = "" if _real(settings) else ", simulated"
    if not sample.gpus:
        yield Fact("cards", Level.FAIL, "no GPU", "Look at `nvidia-smi`; then at MADANG_GPUS.")
    for gpu in sample.gpus:
        cut = [x for x in sample.slices if x.key.gpu == gpu.uuid]
        named = f"GPU {gpu.index}: {gpu.name}{kind}"
        if gpu.mig and not cut:
            yield Fact("card", Level.WARN, f"{named}, MIG on, not cut",
                       f"Cut it, for example: nvidia-smi mig -i {gpu.index} -cgi 9,14,19,19 -C. "
                       "The cut is lost at a reboot: put it into a start-up unit.")
        else:
            yield Fact("card", Level.OK, f"{named}, {_cut(cut, mig=gpu.mig)}")


def _cut(slices: list[Slice], *, mig: bool) -> str:
    if not mig:
        return "MIG off: given away whole"
    return "MIG: " + ", ".join(x.key.profile for x in slices)


def _database(edges: Edges) -> Iterator[Fact]:
    if edges.store.current():
        yield Fact("database", Level.OK, "at its newest schema")
    else:
        yield Fact("database", Level.WARN, "not there, or of an older version",
                   "`madang database upgrade`; `madang serve` does it when it starts.")


def _roster(edges: Edges) -> Iterator[Fact]:
    members = edges.store.members() if edges.store.current() else []
    if members:
        yield Fact("roster", Level.OK, f"{len({x.name for x in members})} people, "
                   f"{len({x.group for x in members})} groups")
    else:
        yield Fact("roster", Level.WARN, "empty: nobody can log in",
                   "`madang roster load people.csv`, or set MADANG_ROSTER.")


def _schedules(settings: Settings, edges: Edges) -> Iterator[Fact]:
    path = settings.schedules_file
    if path is None or not path.exists():
        yield Fact("schedules", Level.OK, "none in a file")
        return
    try:
        found = schedulefile.read(path)
    except BadInput as e:
        yield Fact("schedules", Level.FAIL, str(e),
                   f"Mend {path}; until then its last good version is in force.")
        return
    people = {x.name for x in edges.store.members()} if edges.store.current() else set()
    unknown = sorted({x.entry.user for x in found} - people) if people else []
    said = f"{len(found)} in {path}"
    yield Fact("schedules", Level.OK, said + (
        f"; those of {', '.join(unknown)} run nothing: not in the roster" if unknown else ""))


def _disk(name: str, free: int, comfortable: int, least: int, where: str) -> Fact:
    found = f"{free // 1024} GiB free in {where}"
    if free < least:
        return Fact(name, Level.FAIL, found, "Nothing new starts like this. Make room, or move it "
                    "to a larger disk.")
    if free < comfortable:
        return Fact(name, Level.WARN, found, "Make room soon.")
    return Fact(name, Level.OK, found)


def _secrets(settings: Settings) -> Iterator[Fact]:
    vault = Vault(settings)
    for path in vault.exposed():
        yield Fact("secrets", Level.FAIL, f"others than root can read {path}",
                   f"chown root: {path}; chmod go= {path}. Whoever could read it may have: change "
                   "the secret where it comes from too.")
    yield Fact("secrets", Level.OK, f"{len(vault.list())} for runs")


def _node() -> Fact:
    found = host.version(["node", "--version"])
    if found and found >= _OLDEST_NODE:
        return Fact("Node.js", Level.OK, ".".join(map(str, found)))
    return Fact("Node.js", Level.FAIL, ".".join(map(str, found)) if found else "not found",
                "The proxy needs version 20 or newer: `make run` installs it.")


def _git() -> Fact:
    found = host.version(["git", "--version"])
    if found and host.git_backend() and host.version(["prlimit", "--version"]):
        return Fact("git", Level.OK, ".".join(map(str, found)))
    return Fact("git", Level.FAIL, "not whole: no http-backend, or no prlimit" if found else
                "not found",
                "Courses cannot be pushed: apt-get install git util-linux; `make run` does it.")


def _ports(settings: Settings, *, up: bool) -> Iterator[Fact]:
    for name in ("port", "proxy_api_port", "hub_port", "service_port"):
        port = getattr(settings, name)
        who = host.listener(port)
        label = f"port {port} ({name})"
        if who and not up:
            yield Fact(label, Level.FAIL, f"taken by {who}",
                       f"Stop it, or choose another: MADANG_{name.upper()}=…")
        elif up and not who:
            yield Fact(label, Level.FAIL, "nobody listens, though Madang runs",
                       "Look at the logs: `make logs`.")
        else:
            yield Fact(label, Level.OK, who or "free")

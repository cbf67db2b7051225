"""Containers: look at ours, start a run's, stop and remove by lease."""

import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from docker.errors import APIError, DockerException, NotFound

from hub.config import Settings
from hub.edge.engine import mounts, network
from hub.edge.engine.answers import (
    ENDED,
    HOOK,
    LIVE,
    container,
    lease_lost,
    not_started,
    tar_of,
)
from hub.edge.engine.archives import file_of, log_of
from hub.edge.engine.client import Client, daemons
from hub.edge.engine.creating import create
from hub.edge.engine.data import INSTANCE, LEASE, Container, ContainerSpec, EngineFacts, Network
from hub.edge.engine.events import Ends
from hub.errors import Unavailable

_KILL_WAIT = 10  # seconds for SIGKILL to be seen
_TURNS = 64  # leases share them: two starts rarely wait for each other, one lease's always
_LOG_MAX = 4 * 2**20  # bytes of a log that are given back; json-file itself keeps 30 MB
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)  # the latter: its removal is under way


class Engine:
    """One Docker Engine, safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._docker = Client(settings.docker)
        self._turns = tuple(threading.Lock() for _ in range(_TURNS))

    def close(self) -> None:
        """Close the connections of all threads; a later call opens new ones."""
        self._docker.close()

    # ---- the daemon ------------------------------------------------------------------------

    def version(self) -> EngineFacts:
        """Facts for the operator.

        Raises:
            Unavailable: Docker does not answer, or is older than 19.03.
        """
        with self._docker.acting("tell about itself"):
            info, version = self._docker.api.info(), self._docker.api.version()
        root = info["DockerRootDir"]
        here = self.settings.docker.startswith("unix:") and Path(root).exists()
        devices = [x["ID"] for x in info.get("DiscoveredDevices") or [] if x.get("Source") == "cdi"]
        return EngineFacts(
            version=version["Version"], api=version["ApiVersion"],
            cgroup_driver=info["CgroupDriver"], runtimes=tuple(sorted(info["Runtimes"])),
            default_runtime=info["DefaultRuntime"], cdi=bool(info.get("CDISpecDirs")),
            cdi_devices=tuple(devices), storage_driver=info["Driver"], root=root,
            free_mib=shutil.disk_usage(root).free // 2**20 if here else None,
            live_restore=info["LiveRestoreEnabled"], cpus=info["NCPU"],
            memory_mib=info["MemTotal"] // 2**20, warnings=tuple(info.get("Warnings") or ()),
        )

    def pin(self) -> str:
        """How containers are pinned: "device-request", "cdi" or "env".

        `auto` asks each time: a daemon that was started anew may have found its hook. "env" gives
        no real GPU; it is what remains with simulated ones.

        Raises:
            Unavailable: Docker does not answer.
        """
        if self.settings.pin != "auto":
            return self.settings.pin
        facts = self.version()
        if any(x.startswith("nvidia.com/gpu=") for x in facts.cdi_devices):
            return "cdi"
        hooked = "nvidia" in facts.runtimes or self.hook() is not None
        return "device-request" if hooked else "env"

    def hook(self) -> str | None:
        """NVIDIA's hook (or its stand-in) on the PATH of the dockerd here; None if not found."""
        for pid in daemons(self.settings.docker):
            with suppress(OSError):  # a process that ended meanwhile, or is not ours to read
                if Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd":
                    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
                    path = dict(x.split("=", 1) for x in pairs if "=" in x).get("PATH", "")
                    return shutil.which(HOOK, path=path)
        return None

    def images(self) -> dict[str, str]:
        """Allowed images that are here: tag → digest in its registry, or id where it was built.

        Raises:
            Unknown: Docker gave no answer.
        """
        found = {}
        with self._docker.looking("look at images"):
            for tag in self.settings.images:
                with suppress(NotFound):
                    image = self._docker.api.inspect_image(tag)
                    found[tag] = (image.get("RepoDigests") or [image["Id"]])[0]
        return found

    # ---- looking at containers -------------------------------------------------------------

    def containers(self) -> tuple[Container, ...]:
        """All of ours, ended ones too: one list, and a look at each ended one.

        Raises:
            Unknown: Docker gave no answer.
        """
        with self._docker.looking("list containers"):
            return self._containers()

    def logs(
        self, lease_id: str, *, tail: int | None = None, since: datetime | None = None
    ) -> bytes:
        """What the lease's containers wrote (both streams), at most the last 4 MiB; b"" when gone.

        Args:
            tail: only so many lines. since: only what was written at that moment or later.

        Raises:
            Unknown: Docker gave no answer.
        """
        options: dict[str, Any] = {"tail": "all" if tail is None else tail}
        if since:
            options["since"] = f"{since.timestamp():.6f}"
        with self._docker.looking("read a log"):
            text = b"".join(
                log_of(self._docker.api, x["Id"], options) for x in self._rows(lease_id)
            )
        return text[-_LOG_MAX:]

    def archive(self, lease_id: str, path: str, limit: int) -> bytes | None:
        """A plain file of at most `limit` bytes in the lease's container; None without one.

        Raises:
            Unknown: Docker gave no answer.
        """
        here = self.settings.docker.startswith("unix:")
        with self._docker.looking("read a file of a container"):
            for row in self._rows(lease_id):
                with suppress(mounts.NotHere):
                    return mounts.read(row["Mounts"] if here else (), path, limit)
                return file_of(self._docker.api, row["Id"], path, limit)
        return None

    def ends(self) -> Ends:
        """Whose containers end, from now on.

        Raises:
            Unknown: Docker gave no answer.
        """
        with self._docker.looking("tell of containers that end"):
            return Ends(self._docker.another(), self.settings.name)

    # ---- acting ----------------------------------------------------------------------------

    def start_run(
        self, spec: ContainerSpec, confirm: Callable[[], bool] = lambda: True
    ) -> str:
        """Create, fill and start a run's container; returns its id.

        `confirm` is asked right before the start: making it may have taken so long that its lease
        was ended, and its slice given to somebody else.

        A lease never gets a second one: asking again finishes what was begun.

        Raises:
            Unavailable: it could not start, and nothing of it is left.
            Unknown: no answer; it may be there.
        """
        lease = spec.labels[LEASE]
        # Docker shows a container before it can be started: a second call would find the first's,
        # fail to start it and take it away
        with self._turns[hash(lease) % len(self._turns)]:
            return self._start_run(spec, lease, confirm)

    def _start_run(self, spec: ContainerSpec, lease: str, confirm: Callable[[], bool]) -> str:
        archive = tar_of(spec.files)
        with self._docker.acting("look for the run's container"):
            there = self._rows(lease)
        if there and there[0]["State"] != "created":
            return str(there[0]["Id"])
        with self._docker.looking("start a container"):
            id = there[0]["Id"] if there else self._create(spec)
            try:
                if archive:
                    self._docker.api.put_archive(id, "/", archive)
                if confirm():
                    self._docker.api.start(id)
                    return str(id)
                problem = lease_lost()
            except APIError as e:
                problem = not_started(e)
            with suppress(DockerException, OSError):
                # another call may have started it meanwhile; then it is what was asked for
                if live := self._live(lease):
                    return str(live[0])
                # one that could not start stays "created": it is of no use to anybody. Without
                # force, which would also remove one that has started since
                self._docker.api.remove_container(id, v=True)
        raise problem

    def stop(self, lease_id: str, timeout: int) -> None:
        """SIGTERM, SIGKILL after `timeout` seconds; returns when no container of the lease runs.

        Raises:
            Unavailable: one still runs, or Docker does not tell.
        """
        with self._docker.acting("stop a container"):
            live = self._live(lease_id)
            for id in live:
                # an error here proves nothing; the look below decides
                with suppress(DockerException, OSError):
                    self._docker.api.stop(id, timeout=timeout)
            live = live and self._live(lease_id)
            for id in live:
                with suppress(DockerException, OSError):
                    self._docker.api.kill(id)
            if not live or self._ends(lease_id, _KILL_WAIT):
                return
        raise Unavailable("The container of lease {id} does not stop.", reason="stop", id=lease_id)

    def remove(self, lease_id: str) -> None:
        """Remove every container of the lease, running or not; gone already is fine.

        Raises:
            Unavailable: Docker did not do it.
        """
        with self._docker.acting("remove a container"):
            self._remove(self._rows(lease_id))

    def clear(self, timeout: int) -> int:
        """Stop and remove every container of ours, all at once; how many there were.

        Raises:
            Unavailable: Docker did not do it.
        """
        with self._docker.acting("stop our containers"):
            rows = self._rows()
            for row in rows:
                with suppress(DockerException, OSError):  # ended meanwhile; the removal decides
                    self._docker.api.kill(row["Id"], signal="SIGTERM")
            end = time.monotonic() + timeout
            while time.monotonic() < end and any(x["State"] in LIVE for x in self._rows()):
                time.sleep(0.2)
            self._remove(rows)
        return len(rows)

    # ---- the network -----------------------------------------------------------------------

    def network(self) -> Network | None:
        """The containers' network as it is; None where there is none.

        Raises:
            Unavailable: Docker does not answer, or a network of that name is not ours.
        """
        with self._docker.acting("look at networks"):
            return network.find(self._docker.api, self.settings.name)

    def ensure_network(self, *, prepare: bool = False) -> Network:
        """The containers' network, made (or made anew) where it has to be.

        Args:
            prepare: nothing of ours runs yet: a network with another MTU than the way out is made
                anew. Later that would take the address away on which the hub listens.

        Raises:
            Unavailable: Docker does not answer; the network is not ours; or the settings changed
                while containers are on it.
            BadInput: the setting `subnet` is not an IPv4 network.
        """
        with self._docker.acting("make the containers' network"):
            return network.ensure(self._docker.api, self.settings, prepare=prepare)

    def remove_network(self) -> None:
        """Remove the containers' network; gone already is fine.

        Raises:
            Unavailable: containers are on it, it is not ours, or Docker does not answer.
        """
        with self._docker.acting("remove the containers' network"):
            network.remove(self._docker.api, self.settings.name)

    # ---- inside ----------------------------------------------------------------------------

    def _rows(self, lease_id: str | None = None) -> list[dict[str, Any]]:
        """Docker's rows of all our containers, or of one lease's."""
        labels = [f"{INSTANCE}={self.settings.name}"]
        if lease_id is not None:
            if not lease_id:
                raise ValueError("an empty lease id would name every container without a slice")
            labels.append(f"{LEASE}={lease_id}")
        api = self._docker.api
        rows: list[dict[str, Any]] = api.containers(all=True, filters={"label": labels})
        return rows

    def _containers(self) -> tuple[Container, ...]:
        found = []
        for row in self._rows():
            seen = None
            if row["State"] in ENDED:
                try:
                    seen = self._docker.api.inspect_container(row["Id"])
                except NotFound:
                    continue
            found.append(container(row, seen))
        return tuple(found)

    def _remove(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            try:
                self._docker.api.remove_container(row["Id"], force=True, v=True)
            except APIError as e:
                if e.status_code not in _GONE:
                    raise

    def _live(self, lease_id: str) -> list[str]:
        return [x["Id"] for x in self._rows(lease_id) if x["State"] in LIVE]

    def _ends(self, lease_id: str, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self._live(lease_id):
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    def _create(self, spec: ContainerSpec) -> str:
        return create(self._docker.api, spec, self.settings.name)

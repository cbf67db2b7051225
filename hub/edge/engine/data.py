"""What crosses the wall: frozen facts, and what every container of ours is made with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hub.config import Settings

INSTANCE, LEASE, KIND, USER, SLICE = (
    "madang.instance", "madang.lease", "madang.kind", "madang.user", "madang.slice"
)


@dataclass(frozen=True)
class Container:
    """One of our containers. `exit_code`, `oom` and the times are known for ended ones only."""

    id: str
    name: str
    lease: str
    kind: str
    user: str
    image: str
    running: bool
    exit_code: int | None = None
    oom: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    slice: str = ""


@dataclass(frozen=True)
class Network:
    """The containers' network; `bridge` is the host's interface, `gateway` its address there."""

    name: str
    id: str
    gateway: str
    bridge: str
    subnet: str
    mtu: int


@dataclass(frozen=True)
class EngineFacts:
    """What `madang doctor` tells about Docker. `free_mib` is None for an engine elsewhere."""

    version: str
    api: str
    cgroup_driver: str
    runtimes: tuple[str, ...]
    default_runtime: str
    cdi: bool
    cdi_devices: tuple[str, ...]
    storage_driver: str
    root: str
    free_mib: int | None
    live_restore: bool
    cpus: int
    memory_mib: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ContainerSpec:
    """A run's container. `host_config` in docker-py's words, `volumes` host path → bind and mode.

    `files`: absolute path below /run/madang → content; they belong to uid 1000, mode 600.
    """

    name: str
    image: str
    command: Sequence[str]
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    host_config: Mapping[str, Any] = field(default_factory=dict)
    volumes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    network: str = "none"
    files: Mapping[str, bytes] = field(default_factory=dict)
    working_dir: str | None = None
    user: str | None = None


def hardening(settings: Settings) -> dict[str, Any]:
    """HostConfig of every container, server or run, in docker-py's words.

    CPU is given as a quota: Docker refuses `nano_cpus` beyond what the machine has.
    """
    return {
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": settings.pids_limit,
        "mem_limit": settings.memory_limit,
        "memswap_limit": settings.memory_limit,
        "cpu_period": 100_000,
        "cpu_quota": int(settings.cpu_limit * 100_000),
        "shm_size": settings.shm_size,
        "init": False,  # the images start with tini
        "oom_score_adj": 500,  # when the machine runs out of memory: a student before the hub
        "log_config": {"type": "json-file", "config": {"max-size": "10m", "max-file": "3"}},
    }


def device(pin: str, uuid: str | None) -> dict[str, dict[str, Any]]:
    """What pins a container to the slice `uuid` (None: to no GPU): host_config and environment.

    Where Docker does not write the list of devices itself, `void` keeps an image's own
    NVIDIA_VISIBLE_DEVICES=all (CUDA's images have it) from asking for every GPU.
    """
    void = {"NVIDIA_VISIBLE_DEVICES": "void"}
    if not uuid:
        return {"host_config": {}, "environment": void}
    if pin == "env":
        return {"host_config": {}, "environment": {"NVIDIA_VISIBLE_DEVICES": uuid}}
    if pin == "cdi":
        named = {"driver": "cdi", "device_ids": [f"nvidia.com/gpu={uuid}"]}
        return {"host_config": {"device_requests": [named]}, "environment": void}
    asked = {
        "driver": "nvidia", "device_ids": [uuid], "capabilities": [["gpu", "compute", "utility"]],
    }
    return {"host_config": {"device_requests": [asked]}, "environment": {}}

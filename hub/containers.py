"""What every container of ours is made with: its pin, its limits, its labels, its home."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from hub.config import Settings
from hub.core.lease import Kind, Lease, State
from hub.core.mig import Slice
from hub.core.runs import Run
from hub.edge.engine import ContainerSpec, Engine, Network, device, hardening
from hub.errors import Unavailable
from hub.handing import Handed

HOME = "/home/student"
_JOB = "/run/madang/job.json"
_CA = "/etc/madang-ca.crt"
_CA_NAMES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_INPUT = "/run/madang/input.ipynb"
_FOLDER = "/run/madang/input.tar.gz"
_SECRETS = "/run/secrets"
_NOTHING = Handed()
_NO_COURSES: Mapping[Path, str] = MappingProxyType({})


@dataclass(frozen=True)
class ContainerOptions:
    """What every container of ours gets; `host_config` is in docker-py's words."""

    host_config: Mapping[str, object]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    volumes: Mapping[str, Mapping[str, str]]
    network: str
    gateway: str


def container_options(  # noqa: PLR0913 - each is a part of the options, by its name
    settings: Settings, lease: Lease | None, found: Slice | None, *, user: str, kind: Kind,
    network: Network, pin: str, home: Path, courses: Mapping[Path, str] = _NO_COURSES,
) -> ContainerOptions:
    """The options of one container; `found` is the lease's slice as last seen, None without one.

    `courses`: folders with the read-only data of the person's courses, and where they are seen.
    """
    pinned = device(pin, found.uuid if found else None)
    return ContainerOptions(
        host_config={**hardening(settings), **pinned["host_config"]},
        environment={
            **_describe(lease, found), **pinned["environment"],
            "MADANG_API": api_url(network.gateway, settings.service_port),
            **_threads(settings.cpu_limit),
            "MADANG_SNAPSHOT_MIB": str(settings.snapshot_mib),
            **(dict.fromkeys(_CA_NAMES, _CA) if settings.ca_bundle else {}),
        },
        labels=_labels(settings.name, lease, user, kind),
        volumes={
            str(home): {"bind": HOME, "mode": "rw"}, **_trust(settings.ca_bundle),
            **{str(k): {"bind": x, "mode": "ro"} for k, x in courses.items()},
        },
        network=network.name, gateway=network.gateway,
    )


def api_url(host: str, port: int) -> str:
    """Where the service's REST API answers."""
    return f"http://{host}:{port}/services/madang/api"


def slice_of(state: State, lease: Lease | None) -> Slice | None:
    """The lease's slice as last seen; None for a container without one.

    Raises:
        Unavailable: the instance is gone.
    """
    if lease is None or lease.slice is None:
        return None
    found = state.slices.get(lease.slice)
    if found is None or not found.present:
        raise Unavailable(
            "The slice {slice} that you were given is gone from its card. Start again to get "
            "another one.", reason="slice-gone", slice=lease.slice.profile,
        )
    return found


def output_of(run: Run) -> str:
    """Its output notebook's file: the notebook's name, with `.ipynb` for its last ending.

    The runner gets this as its name, and takes exactly one `.ipynb` off to show it.
    """
    return f"{PurePosixPath(run.notebook).stem}.ipynb"


def run_spec(
    settings: Settings, run: Run, lease: Lease, options: ContainerOptions, *, notebook: bytes,
    snapshot: bytes = b"", handed: Handed = _NOTHING,
) -> ContainerSpec:
    """The container of a run; `notebook` is the input as JSON text, `snapshot` its folder packed.

    `handed`: its secrets, which come by a mount; only their names are in what Docker can show.

    Job and input are put into the container's own file system and not into the home: root
    writes nothing where a student may have laid a link.
    """
    job = {
        "id": run.id, "notebook": _INPUT, "name": output_of(run),
        "folder": run.folder, "parameters": dict(run.parameters), "cwd": run.cwd,
        "timeout": run.timeout, "kernel": None, "attempt": run.attempt,
        "snapshot": _FOLDER if snapshot else None,
        "secrets": [
            {"name": x, "path": f"{_SECRETS}/{x}", "env": env}
            for x, env in handed.variables.items()
        ],
        "record": {
            "image": run.image, "image_digest": run.digest, "commit": run.commit,
            "slice": str(lease.slice), "node": settings.node_name, "lease": lease.id,
            "user": run.user, "asked_at": run.asked_at.isoformat(), "seed": run.seed,
        },
    }
    return ContainerSpec(
        name=f"{settings.name}-run-{lease.id}",
        image=run.image,
        # -I: a json.py in the student's home must not be imported in place of Python's
        command=("python", "-I", "-m", "madang.runner", _JOB),
        labels=dict(options.labels),
        environment=dict(options.environment),
        host_config=dict(options.host_config),
        volumes={
            **{k: dict(v) for k, v in options.volumes.items()},
            **({str(handed.folder): {"bind": _SECRETS, "mode": "ro"}} if handed.folder else {}),
        },
        network=options.network,
        files={
            _JOB: json.dumps(job).encode(), _INPUT: notebook,
            **({_FOLDER: snapshot} if snapshot else {}),
        },
    )


@dataclass(frozen=True)
class LastWords:
    """How a container ended that the tick has removed; `log` is its end."""

    exit_code: int | None
    oom: bool
    log: bytes


def last_words(data: Path, id: str) -> LastWords | None:
    """What `keep_last_words` kept; None where there is nothing."""
    try:
        head, _, text = _words_at(data, id).read_bytes().partition(b"\n")
        ended = json.loads(head)
        return LastWords(ended["exit_code"], ended["oom"], text)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _words_at(data: Path, id: str) -> Path:
    return data / "logs" / "leases" / f"{id}.log"


def keep_last_words(data: Path, engine: Engine, id: str) -> None:
    """Save how a container ended, a line of JSON, and the end of its log, before its removal.

    Raises:
        Unknown, Unavailable: Docker does not say.
        OSError: it cannot be written.
    """
    found = next((c for c in engine.containers() if c.lease == id), None)
    if found is None:
        return
    head = json.dumps({"exit_code": found.exit_code, "oom": found.oom}).encode() + b"\n"
    path = _words_at(data, id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(head + engine.logs(id, tail=200))
    path.chmod(0o600)


def _trust(bundle: Path | None) -> dict[str, dict[str, str]]:
    return {str(bundle): {"bind": _CA, "mode": "ro"}} if bundle else {}


def _threads(cores: float) -> dict[str, str]:
    """As many threads as cores: libraries count the machine's, and 64 threads on 2 cores crawl."""
    count = str(max(1, math.ceil(cores)))
    return {
        "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count,
        # threads that spin while they wait take the cores from others: 3 to 5 times a step, seen
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def _labels(name: str, lease: Lease | None, user: str, kind: Kind) -> dict[str, str]:
    return {
        "madang.instance": name,
        "madang.lease": lease.id if lease else "",
        "madang.kind": kind.value,
        "madang.user": user,
        "madang.slice": str(lease.slice) if lease and lease.slice else "",
    }


def _describe(lease: Lease | None, found: Slice | None) -> dict[str, str]:
    if lease is None or found is None:
        return {"MADANG_SLICE": ""}
    return {
        "MADANG_LEASE": lease.id,
        "MADANG_SLICE": found.key.profile,
        "MADANG_GPU": found.gpu_name,
        "MADANG_UUID": found.uuid,
        "MADANG_MEMORY_MIB": str(found.memory_mib),
    }

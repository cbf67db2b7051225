"""Simulated cards with the real rules, in one JSON file that every process and the stub hook share.

Modelled: placements, IN_USE from processes only, a new UUID at each re-creation, geometry lost at a
reboot, no utilisation figure, and the faults in `FAULTS`.
"""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.core import geometry
from hub.core.mig import (
    FULL,
    Gpu,
    Placement,
    Sample,
    Slice,
    SliceKey,
    model_of,
    placements,
    profile_of,
)
from hub.errors import BadInput, Refusal, Unavailable, Unknown

Json = dict[str, Any]

FAULTS = {
    "sample": "text: a look fails with it",
    "create": "text: the driver finds no room, though there is some",
    "destroy": "text: the driver says that the slice is in use",
    "unknown": "slice UUIDs: it cannot be said which processes are there",
    "lost": "card UUIDs: the card has fallen off the bus",
    "hook": "text: the container hook refuses every start with it",
}
_SEED = uuid.UUID("6d616461-6e67-5000-8000-000000000000")


class Simulated:
    """An `Inventory` of simulated cards.

    Args:
        path: the state file; made when missing. Cards whose text in `cards` is unchanged keep
            the geometry that they were given since.
        node: the node's name.
        cards: one text per card: `A100-40:3g.20gb,2g.10gb`; `A100-40:full` has its MIG off.

    Raises:
        BadInput: a card that cannot be.
        Unavailable: the file cannot be written.
    """

    def __init__(self, path: Path, node: str, cards: Sequence[str]) -> None:
        self._path = path
        self._node = node
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._change() as state:
                self._lay_out(state, list(cards))
        except (OSError, Unknown) as e:
            raise Unavailable(
                "Cannot keep the simulated cards in {path}: {error}. Run as root, or set"
                " simulated_dir to a folder that can be written; a damaged file can be deleted.",
                path=path, error=e,
            ) from e

    def sample(self) -> Sample:
        """See `Inventory.sample`."""
        state = self._read()
        if state["faults"].get("sample"):
            raise Unknown(f"simulated: {state['faults']['sample']}")
        lost = set(state["faults"].get("lost", ()))
        if lost and lost >= {g["uuid"] for g in state["gpus"]}:
            raise Unknown("simulated: no card answers")
        gpus = tuple(
            Gpu(g["uuid"], g["index"], g["name"], g["model"], g["mig"], g["memory_mib"])
            for g in state["gpus"]
        )
        slices = tuple(self._slice(state, g, s) for g in state["gpus"] for s in g["slices"])
        return Sample(self._node, gpus, slices)

    def create(self, gpu_uuid: str, profile: str, start: int) -> Slice:
        """See `Inventory.create`."""
        with self._change() as state:
            gpu = _gpu(state, gpu_uuid)
            place = _place(gpu, profile, start)
            found = _find(gpu, profile, start)
            if found is None:
                _no_room(state, gpu, place)
                found = _add(gpu, place)
            return self._slice(state, gpu, found)

    def destroy(self, key: SliceKey) -> None:
        """See `Inventory.destroy`."""
        if key.profile == FULL:
            raise BadInput("A whole GPU cannot be destroyed.", reason="geometry")
        with self._change() as state:
            gpu = _gpu(state, key.gpu)
            found = _find(gpu, key.profile, key.start)
            if found is None:
                return
            if found["uuid"] in state["faults"].get("unknown", ()):
                raise Unknown(f"simulated: which processes are on {key} cannot be said")
            if found["processes"] or state["faults"].get("destroy"):
                raise Refusal(
                    "The slice {key} is in use by another client.",
                    reason="slice-in-use", status=409, key=key,
                )
            gpu["slices"].remove(found)

    def close(self) -> None:
        """Nothing is held open."""

    # ---- what happens to real cards, made to happen by tests ----------------------------------

    def inject(self, **faults: object) -> None:
        """Sets faults (see FAULTS) beside those that are set; a false value takes one away."""
        unknown = faults.keys() - FAULTS.keys()
        assert not unknown, f"no such fault: {unknown}; there are {FAULTS}"
        with self._change() as state:
            state["faults"] = {k: v for k, v in (state["faults"] | faults).items() if v}

    def occupy(self, key: SliceKey, *pids: int, used_mib: int = 0) -> None:
        """From now on exactly these processes are on the slice; none: it is clean."""
        with self._change() as state:
            found = _find(_gpu(state, key.gpu), key.profile, key.start)
            assert found is not None, f"no slice {key}"
            found.update(processes=list(pids), used_mib=used_mib)

    def vanish(self, key: SliceKey) -> None:
        """The slice is gone without our doing, even from under a process; its UUID is stale."""
        with self._change() as state:
            gpu = _gpu(state, key.gpu)
            gpu["slices"].remove(_find(gpu, key.profile, key.start))

    def reboot(self) -> None:
        """The MIG mode stays, the geometry and the processes are lost, and so are the faults."""
        with self._change() as state:
            state["faults"] = {}
            for gpu in state["gpus"]:
                gpu["slices"] = [s | {"processes": [], "used_mib": 0}
                                 for s in gpu["slices"] if s["profile"] == FULL]

    # ---- the file -----------------------------------------------------------------------------

    def _read(self) -> Json:
        try:
            state: Json = json.loads(self._path.read_text())
        except (OSError, ValueError) as e:
            raise Unknown(f"simulated cards: cannot read {self._path}: {e}") from e
        return state

    @contextmanager
    def _change(self) -> Iterator[Json]:
        """The state under a lock; written as a whole when the block ends without an exception."""
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = self._read() if self._path.exists() else {"gpus": [], "faults": {}}
            before = json.dumps(state, indent=1)
            yield state
            after = json.dumps(state, indent=1)
            if after != before:
                new = self._path.with_suffix(f".{os.getpid()}.new")
                new.write_text(after)
                new.replace(self._path)

    def _lay_out(self, state: Json, cards: list[str]) -> None:
        before = {g["uuid"]: g for g in state["gpus"]}
        state["node"] = self._node
        state["gpus"] = [self._card(n, text, before) for n, text in enumerate(cards)]

    def _card(self, index: int, text: str, before: dict[str, Json]) -> Json:
        name, _, cut = text.partition(":")
        model = model_of(name)
        own = f"GPU-{uuid.uuid5(_SEED, f'{self._path.stem}/{self._node}/{index}')}"
        old = before.get(own)
        if old and old["card"] == text:
            return old
        layout = geometry.parse(name, cut)
        mig = all(x.profile != FULL for x in layout)
        gpu: Json = {
            "uuid": own, "index": index, "name": model.gpu_name, "model": name, "mig": mig,
            "memory_mib": model.memory_mib, "card": text, "made": old["made"] if old else 0,
            "slices": [],
        }
        # slices that are the same keep their UUIDs: somebody may be on them
        same = {(s["profile"], s["start"]): s for s in old["slices"]} if old else {}
        for place in layout:
            kept = same.get((place.profile, place.start)) if old and old["model"] == name else None
            if kept:
                gpu["slices"].append(kept)
            else:
                _add(gpu, place)
        return gpu

    def _slice(self, state: Json, gpu: Json, found: Json) -> Slice:
        faults = state["faults"]
        lost = gpu["uuid"] in faults.get("lost", ())
        unsure = lost or found["uuid"] in faults.get("unknown", ())
        return Slice(
            key=SliceKey(self._node, gpu["uuid"], found["profile"], found["start"]),
            uuid=found["uuid"], gpu_name=gpu["name"], gpu_index=gpu["index"],
            compute=found["compute"], memory=found["memory"], memory_mib=found["memory_mib"],
            used_mib=None if lost else found["used_mib"],
            processes=None if unsure else tuple(found["processes"]),
        )


def _gpu(state: Json, gpu_uuid: str) -> Json:
    if gpu_uuid in state["faults"].get("lost", ()):
        raise Unknown(f"simulated: {gpu_uuid} is lost")
    for gpu in state["gpus"]:
        if gpu["uuid"] == gpu_uuid:
            found: Json = gpu
            return found
    raise BadInput("There is no GPU {gpu} here.", reason="unknown-gpu", gpu=gpu_uuid)


def _place(gpu: Json, profile: str, start: int) -> Placement:
    """The placement asked for, or the refusal that NVML's rules give."""
    if not gpu["mig"]:
        raise BadInput(
            "MIG is off on {gpu}: it is one whole slice.", reason="geometry", gpu=gpu["uuid"]
        )
    profile_of(gpu["model"], profile)
    places = placements(gpu["model"], profile)
    for place in places:
        if place.start == start:
            return place
    raise BadInput(
        "A {profile} cannot start at {start}; it can start at {starts}.", reason="geometry",
        profile=profile, start=start, starts=", ".join(str(x.start) for x in places),
    )


def _no_room(state: Json, gpu: Json, place: Placement) -> None:
    taken = [Placement(s["start"], s["size"], s["profile"], s["compute"]) for s in gpu["slices"]]
    free = place.start in geometry.fits(gpu["model"], taken, place.profile)
    if not free or state["faults"].get("create"):
        raise Refusal(
            "There is no room for a {place} on GPU {index}.",
            reason="no-room", status=409, place=place, index=gpu["index"],
        )


def _find(gpu: Json, profile: str, start: int) -> Json | None:
    same = (s for s in gpu["slices"] if s["profile"] == profile and s["start"] == start)
    return next(same, None)


def _add(gpu: Json, place: Placement) -> Json:
    gpu["made"] += 1
    whole = place.profile == FULL
    made = uuid.uuid5(_SEED, f"{gpu['uuid']}/{place}/{gpu['made']}")
    memory = gpu["memory_mib"] if whole else profile_of(gpu["model"], place.profile).memory_mib
    found: Json = {
        "profile": place.profile, "start": place.start, "size": place.size,
        "compute": place.compute, "memory": place.size, "memory_mib": memory,
        "uuid": gpu["uuid"] if whole else f"MIG-{made}", "processes": [], "used_mib": 0,
    }
    gpu["slices"] = sorted([*gpu["slices"], found], key=lambda s: s["start"])
    return found

"""Real cards through NVML.

Handles, instance ids and indexes are looked up at every call: all of them are void as soon as a
card is cut anew.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from ctypes import byref, c_uint
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import pynvml
from pynvml import NVMLError

from hub.core.mig import FULL, MODELS, SLOTS, Gpu, Sample, Slice, SliceKey
from hub.edge.gpu.cards import ABSENT, Handle, card, mig_slices, whole
from hub.edge.gpu.intime import InTime
from hub.errors import BadInput, Refusal, Unavailable, Unknown

_Seen = tuple[Gpu, tuple[Slice, ...]]
T = TypeVar("T")
_DRIVER = "the NVIDIA driver"
# seconds for one look; at first a driver without persistence mode wakes each card
_LATE, _FIRST = 5.0, 20.0
_DEAD = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_TIMEOUT)


def has_driver() -> bool:
    """Whether NVIDIA's driver is installed, working or not.

    A driver that is installed and broken must not turn a real machine into a simulated one, so
    only "library not found" is no; one that hangs is there.
    """
    def opens() -> bool:
        try:
            pynvml.nvmlInit()
        except NVMLError as e:
            return bool(e.value != pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
        pynvml.nvmlShutdown()
        return True

    answer = InTime().ask({_DRIVER: opens}, _FIRST).get(_DRIVER)
    return answer is None or answer.result()


@dataclass(frozen=True)
class _Size:
    """A GPU instance profile as this card and driver have it."""

    id: int
    name: str
    compute: int
    most: int


class Nvml:
    """An `Inventory` of the cards of this machine; `node` is its name. Threads may share it.

    `late`, `first`: the seconds for which a look waits for a card, and for one never seen yet.
    """

    def __init__(self, node: str, *, late: float = _LATE, first: float = _FIRST) -> None:
        self._node = node
        self._late, self._first = late, first
        self._in_time = InTime()
        self._lock = threading.Lock()
        self._open = False
        self._last: dict[int, _Seen] = {}

    def sample(self) -> Sample:
        """See `Inventory.sample`."""
        with self._lock, self._asking("list the cards", acting=False):
            seen = self._look_at_all()
        slices = tuple(s for _, slices in seen for s in slices)
        return Sample(self._node, tuple(gpu for gpu, _ in seen), slices)

    def create(self, gpu_uuid: str, profile: str, start: int) -> Slice:
        """See `Inventory.create`."""
        with self._lock, self._asking(f"create {profile}:{start}"):
            handle, size = _card_and_size(gpu_uuid, profile)
            slots = _slots(handle, size, start)
            instance = _instance_at(handle, size, start)
            if instance is None:
                place = pynvml.c_nvmlGpuInstancePlacement_t(start, slots)
                instance = pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(
                    handle, size.id, byref(place)
                )
            if not _compute_instances(instance):
                _fill(instance, size)
            found = self._find(handle, profile, start)
        if found is not None:
            return found
        raise Unknown(f"NVML: {profile}:{start} was created on {gpu_uuid} and is not listed")

    def destroy(self, key: SliceKey) -> None:
        """See `Inventory.destroy`."""
        if key.profile == FULL:
            raise BadInput("A whole GPU cannot be destroyed.", reason="geometry")
        with self._lock, self._asking(f"destroy {key}"):
            handle, size = _card_and_size(key.gpu, key.profile)
            instance = _instance_at(handle, size, key.start)
            if instance is None:
                return
            found = self._find(handle, key.profile, key.start)
            _must_be_clean(found)
            for each in _compute_instances(instance):
                pynvml.nvmlComputeInstanceDestroy(each)
            pynvml.nvmlGpuInstanceDestroy(instance)

    def close(self) -> None:
        """See `Inventory.close`."""
        with self._lock:
            self._forget()

    def _find(self, handle: Handle, profile: str, start: int) -> Slice | None:
        gpu = card(handle, pynvml.nvmlDeviceGetIndex(handle))
        slices = mig_slices(self._node, handle, gpu)
        return next((s for s in slices if (s.key.profile, s.key.start) == (profile, start)), None)

    def _begin(self) -> None:
        if not self._open:
            pynvml.nvmlInit()
            self._open = True

    def _forget(self) -> None:
        # never under a call that hangs: the driver's end would wait for it
        if self._open and not self._in_time.hangs():
            self._open = False
            with suppress(NVMLError):
                pynvml.nvmlShutdown()

    @contextmanager
    def _asking(self, what: str, *, acting: bool = True) -> Iterator[None]:
        """NVML opened, and its errors told apart: a refusal is an answer, all else is none."""
        try:
            if acting:
                self._begin()
            yield
        except NVMLError as e:
            if acting:
                _refuse(what, int(e.value))
            # open it anew next time: after a driver reload the old session fails for ever
            self._forget()
            raise Unknown(f"NVML, to {what}: {e}") from e

    def _look_at_all(self) -> list[_Seen]:
        """Each card and its slices; one that does not answer as it was, its processes unknown."""
        seen: list[_Seen] = []
        silent: list[NVMLError] = []
        count = self._count()
        for index, answer in enumerate(self._answers(count)):
            try:
                self._last[index] = _answer(answer)
                seen.append(self._last[index])
            except NVMLError as e:
                silent.append(e)
                if index in self._last:
                    gpu, slices = self._last[index]
                    unsure = tuple(replace(s, processes=None, used_mib=None) for s in slices)
                    seen.append((gpu, unsure))
                elif int(e.value) not in _DEAD:
                    raise  # only a dead card must not keep the others from starting
        if count and len(silent) == count:
            raise silent[0]
        return seen

    def _count(self) -> int:
        def count() -> int:
            self._begin()
            return int(pynvml.nvmlDeviceGetCount())

        seconds = self._late if self._open else self._first
        return _answer(self._in_time.ask({_DRIVER: count}, seconds).get(_DRIVER))

    def _answers(self, count: int) -> list[Future[_Seen] | None]:
        cards = {f"GPU {x}": partial(self._look, x) for x in range(count)}
        new = any(
            x not in self._last and not self._in_time.hangs(name) for x, name in enumerate(cards)
        )
        came = self._in_time.ask(cards, self._first if new else self._late)
        return [came.get(name) for name in cards]

    def _look(self, index: int) -> _Seen:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        gpu = card(handle, index)
        if gpu.mig:
            return gpu, tuple(mig_slices(self._node, handle, gpu))
        return gpu, (whole(self._node, handle, gpu),)


def _answer(answer: Future[T] | None) -> T:
    if answer is None:
        raise NVMLError(pynvml.NVML_ERROR_TIMEOUT)
    return answer.result()


def _refuse(what: str, code: int) -> None:
    if code == pynvml.NVML_ERROR_IN_USE:
        text = "The slice is in use by another client ({what})."
        raise Refusal(text, reason="slice-in-use", status=409, what=what)
    if code == pynvml.NVML_ERROR_INSUFFICIENT_RESOURCES:
        text = "There is no room for the slice ({what})."
        raise Refusal(text, reason="no-room", status=409, what=what)
    if code == pynvml.NVML_ERROR_NO_PERMISSION:
        raise Unavailable(
            "NVIDIA's driver does not allow this ({what}): run Madang as root, or give it"
            " /proc/driver/nvidia/capabilities/mig/config.", what=what,
        )


def _must_be_clean(found: Slice | None) -> None:
    if found and found.processes is None:
        raise Unknown(f"NVML cannot say which processes are on {found.key}")
    if found and found.processes:
        raise Refusal(
            "The slice {key} is in use by another client.",
            reason="slice-in-use", status=409, key=found.key,
        )


def _card_and_size(gpu_uuid: str, profile: str) -> tuple[Handle, _Size]:
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(gpu_uuid)
    except NVMLError as e:
        if e.value not in ABSENT:
            raise
        raise BadInput("There is no GPU {gpu} here.", reason="unknown-gpu", gpu=gpu_uuid) from e
    gpu = card(handle, 0)
    if not gpu.mig:
        text = "MIG is off on {gpu}: it is one whole slice."
        raise BadInput(text, reason="geometry", gpu=gpu_uuid)
    sizes = {x.name: x for x in _sizes(handle, gpu.model)}
    if profile in sizes:
        return handle, sizes[profile]
    raise BadInput(
        "An {model} has no slice size {profile}; it has {profiles}.", reason="unknown-profile",
        model=gpu.name, profile=repr(profile), profiles=", ".join(sizes),
    )


def _sizes(handle: Handle, model: str | None) -> Iterator[_Size]:
    """The card's own profiles. Older drivers do not tell the names: then the model's table does."""
    by_id = {p.id: p.name for p in MODELS[model].profiles} if model else {}
    for kind in range(pynvml.NVML_GPU_INSTANCE_PROFILE_COUNT):
        info = _versioned(pynvml.nvmlDeviceGetGpuInstanceProfileInfo, handle, kind)
        if info is not None:
            told = getattr(info, "name", "").removeprefix("MIG ")
            name = told or by_id.get(info.id, "")
            yield _Size(info.id, name, info.sliceCount, info.instanceCount)


def _versioned(ask: Callable[..., Any], *args: object, version: int = 2) -> Any:
    """Version 2 of an NVML question, 1 on an older driver, None for what is not there."""
    try:
        return ask(*args, version=version)
    except NVMLError as e:
        if e.value in ABSENT:
            return None
        if e.value != pynvml.NVML_ERROR_FUNCTION_NOT_FOUND or version == 1:
            raise
        return _versioned(ask, *args, version=1)


def _slots(handle: Handle, size: _Size, start: int) -> int:
    """How many memory slots the profile takes at this start; BadInput where it cannot start."""
    count = c_uint(0)
    pynvml.nvmlDeviceGetGpuInstancePossiblePlacements(handle, size.id, None, byref(count))
    room = (pynvml.c_nvmlGpuInstancePlacement_t * max(count.value, 1))()
    pynvml.nvmlDeviceGetGpuInstancePossiblePlacements(handle, size.id, byref(room), byref(count))
    places = {x.start: x.size for x in room[: count.value]}
    if start not in places:
        raise BadInput(
            "A {profile} cannot start at {start}; it can start at {starts}.", reason="geometry",
            profile=size.name, start=start, starts=", ".join(map(str, places)),
        )
    return int(places[start])


def _instance_at(handle: Handle, size: _Size, start: int) -> Handle | None:
    """The GPU instance there, also one without a compute instance, which no list shows."""
    count = c_uint(0)
    room = (pynvml.c_nvmlGpuInstance_t * max(size.most, SLOTS))()
    pynvml.nvmlDeviceGetGpuInstances(handle, size.id, byref(room), byref(count))
    for instance in room[: count.value]:
        if pynvml.nvmlGpuInstanceGetInfo(instance).placement.start == start:
            found: Handle = instance
            return found
    return None


def _compute_kinds(instance: Handle) -> Iterator[Any]:
    for kind in range(pynvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
        info = _versioned(pynvml.nvmlGpuInstanceGetComputeInstanceProfileInfo, instance, kind, 0)
        if info is not None:
            yield info


def _compute_instances(instance: Handle) -> list[Handle]:
    found: list[Handle] = []
    for id in {x.id for x in _compute_kinds(instance)}:
        count = c_uint(0)
        room = (pynvml.c_nvmlComputeInstance_t * SLOTS)()
        pynvml.nvmlGpuInstanceGetComputeInstances(instance, id, byref(room), byref(count))
        found += room[: count.value]
    return found


def _fill(instance: Handle, size: _Size) -> None:
    """One compute instance over the whole of it; without one it is no slice at all."""
    try:
        whole = next(x for x in _compute_kinds(instance) if x.sliceCount == size.compute)
        pynvml.nvmlGpuInstanceCreateComputeInstance(instance, whole.id)
    except NVMLError:
        with suppress(NVMLError):
            pynvml.nvmlGpuInstanceDestroy(instance)
        raise

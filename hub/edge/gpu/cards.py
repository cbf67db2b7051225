"""What NVML says of one card and its slices."""

from collections.abc import Iterator

import pynvml
from pynvml import NVMLError

from hub.core.mig import FULL, SEVENTHS, SLOTS, Gpu, Slice, SliceKey, find_model

Handle = object  # opaque pointers of ctypes
_MIB = 1 << 20
# what NVML answers for a profile, an index or a GPU instance that is not there
ABSENT = (pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_NOT_SUPPORTED,
          pynvml.NVML_ERROR_INVALID_ARGUMENT)


def card(handle: Handle, index: int) -> Gpu:
    """The card itself."""
    name = pynvml.nvmlDeviceGetName(handle)
    total = pynvml.nvmlDeviceGetMemoryInfo(handle).total // _MIB
    try:
        current, _pending = pynvml.nvmlDeviceGetMigMode(handle)
    except NVMLError as e:
        if int(e.value) != pynvml.NVML_ERROR_NOT_SUPPORTED:
            raise
        current = pynvml.NVML_DEVICE_MIG_DISABLE
    mig = current == pynvml.NVML_DEVICE_MIG_ENABLE
    uuid = pynvml.nvmlDeviceGetUUID(handle)
    return Gpu(uuid, index, name, find_model(name, total), mig, total)


def whole(node: str, handle: Handle, gpu: Gpu) -> Slice:
    """A card whose MIG is off: one slice."""
    return Slice(
        key=SliceKey(node, gpu.uuid, FULL, 0), uuid=gpu.uuid, gpu_name=gpu.name,
        gpu_index=gpu.index, compute=SEVENTHS, memory=SLOTS, memory_mib=gpu.memory_mib,
        used_mib=_used(handle), processes=_processes(handle),
    )


def mig_slices(node: str, handle: Handle, gpu: Gpu) -> Iterator[Slice]:
    """The slices of a card whose MIG is on."""
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            device = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
        except NVMLError as e:
            if int(e.value) not in ABSENT:
                raise
            continue  # the index is sparse: what is missing here does not end the list
        found = _mig_slice(node, handle, device, gpu)
        if found is not None:
            yield found


def _mig_slice(node: str, handle: Handle, device: Handle, gpu: Gpu) -> Slice | None:
    profile = pynvml.nvmlDeviceGetName(device).rpartition("MIG ")[2]
    if "c." in profile:
        return None  # `1c.3g.20gb` shares its memory with others: cut by hand, not ours to give
    id = pynvml.nvmlDeviceGetGpuInstanceId(device)
    instance = pynvml.nvmlDeviceGetGpuInstanceById(handle, id)
    place = pynvml.nvmlGpuInstanceGetInfo(instance).placement
    size = pynvml.nvmlDeviceGetAttributes_v2(device)
    return Slice(
        key=SliceKey(node, gpu.uuid, profile, place.start), uuid=pynvml.nvmlDeviceGetUUID(device),
        gpu_name=gpu.name, gpu_index=gpu.index, compute=size.gpuInstanceSliceCount,
        memory=place.size, memory_mib=size.memorySizeMB, used_mib=_used(device),
        processes=_processes(device),
    )


def _used(handle: Handle) -> int | None:
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used) // _MIB
    except NVMLError:
        return None


def _processes(handle: Handle) -> tuple[int, ...] | None:
    """The host's process ids; None where NVML cannot say, which must never read as "none"."""
    try:
        try:
            found = pynvml.nvmlDeviceGetComputeRunningProcesses_v3(handle)
        except pynvml.NVMLError_FunctionNotFound:  # drivers before R510
            found = pynvml.nvmlDeviceGetComputeRunningProcesses_v2(handle)
    except NVMLError:
        return None
    return tuple(sorted(x.pid for x in found))

"""The node's cards: what there is, making a slice, destroying one.

One edge module: the interface here, `nvml` for real cards (with `cards`, what it says of one, and
`intime`, for those that do not answer), `simulated` for machines without one. Importing it needs
no more than nvidia-ml-py.
"""

from typing import TYPE_CHECKING, Protocol

from hub.core.mig import Sample, Slice, SliceKey
from hub.edge.gpu.nvml import Nvml, has_driver
from hub.edge.gpu.simulated import Simulated

if TYPE_CHECKING:
    from hub.config import Settings

__all__ = ["Inventory", "Nvml", "Simulated", "has_driver", "open_inventory"]


class Inventory(Protocol):
    """What both kinds of cards promise; `tests/edge/test_gpu.py` runs on both."""

    def sample(self) -> Sample:
        """One look at all cards.

        A whole card whose MIG is off is one slice of profile "full". A card that does not answer
        while another does, or not in time, keeps the slices last seen by this inventory, with
        `processes` and `used_mib` None: unknown, so neither free nor clean.

        Raises:
            Unknown: no usable answer; it says nothing about what is there.
        """
        ...

    def create(self, gpu_uuid: str, profile: str, start: int) -> Slice:
        """Makes this slice, or returns it where it is already there (so a crash can be repeated).

        Raises:
            BadInput: the card is unknown, its MIG is off, or it has no such profile or start.
            Refusal: "no-room" (409): another slice lies there, or the driver finds no room.
            Unavailable: the driver does not let us (permission).
            Unknown: no usable answer; the slice may or may not be there.
        """
        ...

    def destroy(self, key: SliceKey) -> None:
        """Destroys this slice; one that is not there is fine.

        The driver alone is no guard: it lets a slice go whose container has not touched CUDA yet.
        Whoever calls this has made sure that nobody holds it.

        Raises:
            Refusal: "slice-in-use" (409): a process is on it.
            BadInput: a whole card cannot be destroyed.
            Unknown: no usable answer, or it cannot be said whether a process is on it.
        """
        ...

    def close(self) -> None:
        """Lets the driver go (an open NVML client blocks a change of the MIG mode)."""
        ...


def open_inventory(settings: "Settings") -> Inventory:
    """The inventory that `settings.gpus` names; auto simulates only where there is no driver.

    Raises:
        BadInput: a simulated card that cannot be cut as the settings say.
        Unavailable: the folder of the simulated cards cannot be written.
    """
    real = settings.gpus == "nvml" or (settings.gpus == "auto" and has_driver())
    if real:
        return Nvml(settings.node_name)
    path = settings.simulated_dir / f"{settings.name}.json"
    return Simulated(path, settings.node_name, settings.simulated)

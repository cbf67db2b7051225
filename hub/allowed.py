"""What the installation allows to be asked for, beside the rules of the line."""

from hub.config import Settings
from hub.edge.homes import Homes
from hub.errors import BadInput, Unavailable


def check_image(settings: Settings, image: str) -> None:
    """Refuse an image that the settings do not name.

    Raises:
        BadInput: reason "image".
    """
    if image not in settings.images:
        raise BadInput(
            "The image {image} is not allowed here. Allowed: {allowed}.", reason="image",
            image=image, allowed=", ".join(settings.images),
        )


def check_disk(settings: Settings, homes: Homes) -> None:
    """Refuse whatever would begin on a full disk.

    Raises:
        Unavailable: reason "disk-full" (507).
    """
    free = homes.free_mib()
    if free < settings.disk_free_mib:
        raise Unavailable(
            "The disk is full, so nothing new can start; your files are safe. Please tell the "
            "operator.", reason="disk-full", status=507,
            detail=f"{free} MiB free in {settings.data}; disk_free_mib is "
            f"{settings.disk_free_mib}",
        )

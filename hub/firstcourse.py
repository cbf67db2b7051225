"""The course that ships, published once for the people of the demo."""

import logging
from pathlib import Path

from hub.broker import Broker
from hub.core.courses import COURSE_FILE, Author
from hub.core.roster import Role
from hub.errors import Refusal
from hub.publishing import Publishing

log = logging.getLogger("madang.courses")
_SHIPPED = Path(__file__).resolve().parents[1] / "notebooks" / "torch-101"
_LEFT_OUT = frozenset({"__pycache__", ".ipynb_checkpoints"})


def publish_shipped(broker: Broker, group: str, folder: Path = _SHIPPED) -> None:
    """Publish the course in `folder` for this group, where it has an instructor and no course yet.

    Madang starts without it: what goes wrong is in the log.
    """
    try:
        who = next((
            x.name for x in broker.members() if x.group == group and x.role is Role.INSTRUCTOR
        ), None)
        publishing = Publishing(broker)
        if who is None or not (folder / COURSE_FILE).is_file() or publishing.store.courses():
            return
        author = Author(who, frozenset({group}))
        draft = publishing.check(_files(folder), author, folder.name)
        if not draft.ok:
            said = "; ".join(f"{x.path}:{x.line}: {x.message}" for x in draft.problems if x.fatal)
            log.error("the course %s is not published: %s", folder.name, said)
            return
        publishing.publish(draft, "The course that comes with Madang.")
    except (OSError, Refusal) as e:
        log.error("the course %s is not published: %s", folder.name, e)  # noqa: TRY400 - said


def _files(folder: Path) -> dict[str, bytes]:
    found = (x for x in sorted(folder.rglob("*")) if x.is_file() and not x.is_symlink())
    return {
        str(x.relative_to(folder)): x.read_bytes() for x in found
        if not _LEFT_OUT & set(x.relative_to(folder).parts)
    }

"""The verbs of whoever runs the machine: prepare, roster, backup, clear, uninstall."""

import logging
import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from hub.broker import open_broker
from hub.config import Settings
from hub.core.roster import Member, Role, parse
from hub.edge import dump
from hub.edge.vault import Vault
from hub.edges import open_edges
from hub.errors import BadInput
from hub.firstcourse import publish_shipped

log = logging.getLogger("madang.upkeep")
DEMO = "demo"
_DEMO_STUDENTS = 6


def demo_roster() -> tuple[Member, ...]:
    """The people of a first look at Madang."""
    students = (Member(f"student{i}", DEMO, Role.STUDENT) for i in range(1, _DEMO_STUDENTS + 1))
    return (*students, Member("instructor", DEMO, Role.INSTRUCTOR),
            Member("operator", DEMO, Role.OPERATOR))


def prepare(settings: Settings) -> str:
    """Database, people and the containers' network are there; this machine's address on it.

    The roster file wins over what was loaded by hand; without one, an empty roster of a demo gets
    the demo's people. A bad roster file leaves the roster as it was, and does not keep those who
    are in it from working.

    Where there are the demo's people and no course yet, they get the one that ships.

    Raises:
        BadInput: the roster file has bad lines, and there was no roster before.
        Unavailable: the database or Docker does not answer.
    """
    _prepare_store(settings)
    broker = open_broker(settings)
    if settings.authenticator == "shared-password":
        publish_shipped(broker, DEMO)
    return broker.network(prepare=True).gateway


def _prepare_store(settings: Settings) -> None:
    store = open_edges(settings).store
    try:
        store.upgrade()
        known = bool(store.members())
        if settings.roster:
            store.set_members(roster_read(settings.roster))
        elif settings.authenticator == "shared-password" and not known:
            store.set_members(demo_roster())
    except BadInput as e:
        if not known:
            raise
        log.error("the roster is left as it was: %s", e)  # noqa: TRY400 - no traceback: their file
    finally:
        store.close()


def roster_read(path: Path) -> tuple[Member, ...]:
    """The people in a roster file.

    Raises:
        BadInput: it cannot be read, or each bad line by file and number.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput("Cannot read the roster {path}: {error}", reason="roster", path=path,
                       error=e) from e
    return parse(text, str(path))


def roster_load(settings: Settings, members: tuple[Member, ...]) -> None:
    """Replace the roster in the store.

    Raises:
        Unavailable: the database does not answer; nothing was changed.
    """
    store = open_edges(settings).store
    try:
        store.upgrade()
        store.set_members(members)
    finally:
        store.close()


def roster(settings: Settings) -> tuple[Member, ...]:
    """The people in the store.

    Raises:
        Unavailable: the database does not answer, or is not there yet.
    """
    store = open_edges(settings).store
    try:
        return tuple(store.members())
    finally:
        store.close()


def counts(members: tuple[Member, ...]) -> Mapping[Role, int]:
    """How many people hold each role."""
    return Counter(x.role for x in members)


def upgrade(settings: Settings) -> bool:
    """Bring the schema up to date; False when it was.

    Raises:
        Unavailable: the database does not answer.
    """
    store = open_edges(settings).store
    try:
        was = store.current()
        store.upgrade()
    finally:
        store.close()
    return not was


def backup(settings: Settings, folder: Path, now: datetime) -> list[Path]:
    """Copies of Madang's and JupyterHub's databases and of all secrets, in a folder of their own.

    Homes are not in it: they are plain files, for the tool that you back files up with.

    Raises:
        Unavailable: a copy could not be made; with what to do.
    """
    target = folder / f"{settings.name}-{now:%Y%m%d-%H%M%S}"
    made = []
    for source in sorted(settings.data.glob("*.sqlite")):
        dump.sqlite(source, target / source.name)
        made.append(target / source.name)
    if settings.database.startswith("postgresql"):
        dump.postgresql(settings.database, target / "madang.dump")
        made.append(target / "madang.dump")
    for name in ("secrets", "run-secrets"):
        if (settings.data / name).is_dir():
            shutil.copytree(settings.data / name, target / name)
            made.append(target / name)
    return made


def clear(settings: Settings) -> int:
    """Stop and remove this installation's containers; how many there were.

    Their leases end at the next tick that sees them gone. Homes stay.

    Raises:
        Unavailable: Docker does not answer.
    """
    return open_edges(settings).engine.clear(settings.run_stop_timeout)


def uninstall(settings: Settings) -> None:
    """Take this installation off the machine: containers, network, firewall rules, cards' state.

    What of secrets is laid out in memory goes too.

    The data folder stays. May be repeated.

    Raises:
        Unavailable: Docker or iptables refuses.
    """
    edges = open_edges(settings)
    edges.engine.clear(settings.stop_timeout)
    edges.engine.remove_network()
    edges.firewall.remove()
    Vault(settings).leave()
    for path in settings.simulated_dir.glob(f"{settings.name}.*"):
        path.unlink(missing_ok=True)

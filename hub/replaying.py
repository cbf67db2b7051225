"""What is replayed: a trace's file, or the history of this house's own store."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from hub.config import Settings
from hub.core.replay import history
from hub.core.replay.contest import Lab
from hub.core.replay.jobs import Trace
from hub.core.rules import House
from hub.edges import open_edges, rules_of
from hub.errors import BadInput

_MOST_BYTES = 256 * 2**20
_MOST_LEASES = 200_000


def text_of(path: Path) -> str:
    """A trace's text.

    Raises:
        BadInput: reason "trace": it cannot be read, is no text, or is larger than 256 MiB.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadInput(
                "{path} is too large to be replayed: more than {most} MiB.", reason="trace",
                path=path, most=_MOST_BYTES // 2**20,
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(
            "Cannot read the trace {path}: {error}", reason="trace", path=path, error=e
        ) from e


def house_of(settings: Settings) -> House:
    """A house with the settings' rules and nothing in it."""
    return House(rules=rules_of(settings))


def own(settings: Settings, name: str, days: int, now: datetime) -> tuple[Trace, Lab]:
    """The last days of this house's store, and the house with its slices, groups and hours.

    Raises:
        BadInput: nothing was held in this time, or no slice has been seen yet.
        Unavailable: the store does not answer.
    """
    store = open_edges(settings).store
    try:
        state = store.read()
        leases = store.leases(limit=_MOST_LEASES)
    finally:
        store.close()
    begin = now - timedelta(days=days)
    if leases:
        # the last page of a long history may end later than `days` ago
        begin = max(begin, leases[-1].request.asked_at)
    trace = history.trace_of(leases, begin, now)
    slices = tuple(s for s in state.slices.values() if s.present)
    if not slices:
        raise BadInput("No slice has been seen yet. Name cards with --cards.", reason="replay")
    clean = tuple(replace(s, processes=(), blocked="") for s in slices)
    return trace, Lab(name, clean, replace(state.house, usage={}), begin)

"""Everything outside the process that the floor may touch, made as the settings say."""

from dataclasses import dataclass
from datetime import time, timedelta

from hub.config import WEEKDAYS, Settings
from hub.core.lease import Limits
from hub.core.rules import Rules
from hub.edge.engine import Engine
from hub.edge.firewall import Firewall
from hub.edge.gpu import Inventory, open_inventory
from hub.edge.homes import Homes
from hub.edge.hubapi import HubApi
from hub.edge.store import Store


@dataclass
class Edges:
    """Everything outside the process that the floor may touch."""

    store: Store
    engine: Engine
    gpus: Inventory
    homes: Homes
    hub: HubApi
    firewall: Firewall


def open_edges(settings: Settings) -> Edges:
    """The edges as the settings say; nothing is contacted before it is used."""
    limits = Limits(
        # behind the gate of `start_parallel` a granted server waits for its turn before it starts
        start=timedelta(seconds=settings.start_timeout * 5),
        settle=timedelta(seconds=settings.settle),
        dirty=timedelta(seconds=settings.dirty),
        # what was told to stop may save so long; a little more for Docker itself
        stop=timedelta(seconds=max(settings.stop_timeout, settings.run_stop_timeout) + 15),
    )
    return Edges(
        store=Store(settings.database_url, limits=limits, rules=rules_of(settings)),
        engine=Engine(settings),
        gpus=open_inventory(settings),
        homes=Homes(settings),
        hub=HubApi(settings),
        firewall=Firewall(settings),
    )


def rules_of(settings: Settings) -> Rules:
    """The rules of the line, as core takes them."""
    day, _, at = settings.week_starts.partition(" ")
    dusk, _, dawn = settings.night.partition("-")
    spans = (
        "min_hold", "max_hold", "run_hold", "notice", "idle", "entry", "patience",
        "run_patience", "grace", "margin",
    )
    return Rules(
        **{x: timedelta(seconds=getattr(settings, x)) for x in spans},
        # below ten minutes a slice before somebody's hours helps nobody; tests have shorter hours
        shortest=timedelta(seconds=min(600, settings.min_hold)),
        half_life=timedelta(days=settings.half_life_days), zone=settings.timezone,
        week_day=WEEKDAYS.index(day), week_time=time.fromisoformat(at),
        night=(time.fromisoformat(dusk), time.fromisoformat(dawn)) if dawn else None,
    )

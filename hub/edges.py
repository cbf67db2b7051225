"""Everything outside the process that the floor may touch, made as the settings say."""

from dataclasses import dataclass
from datetime import timedelta

from hub.config import Settings
from hub.core.lease import Limits
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
    )
    return Edges(
        store=Store(settings.database_url, limits=limits),
        engine=Engine(settings),
        gpus=open_inventory(settings),
        homes=Homes(settings),
        hub=HubApi(settings),
        firewall=Firewall(settings),
    )

"""Docker, through docker-py: containers by label, runs, the containers' network.

404 is gone. Everything else that is not an answer is Unknown where we look, and Unavailable where
we act (nothing was done) or Unknown (it may have been done: a start without an answer).

One edge in several files: data (no Docker in it), client, network, events, engine and its parts.
"""

from hub.edge.engine.data import Container, ContainerSpec, EngineFacts, Network, device, hardening
from hub.edge.engine.engine import Engine
from hub.edge.engine.events import Ends

__all__ = [
    "Container", "ContainerSpec", "Ends", "Engine", "EngineFacts", "Network", "device", "hardening",
]

"""One look at the machine. What gives no answer is None: unknown is not gone."""

import logging

from hub import metrics
from hub.core.mig import Slice
from hub.edges import Edges
from hub.errors import Unavailable, Unknown

log = logging.getLogger("madang.sight")


def slices(edges: Edges) -> tuple[Slice, ...] | None:
    """All slices of the machine, or None where NVML gives no answer."""
    try:
        return edges.gpus.sample().slices
    except Unknown as e:
        metrics.UNKNOWN.labels("gpu").inc()
        log.warning("the GPUs give no answer: %s", e)
        return None


def containers(edges: Edges) -> tuple[dict[str, bool], dict[str, str]] | None:
    """(lease → it runs, lease → the slice on its label), or None where Docker gives no answer."""
    try:
        found = edges.engine.containers()
    except (Unknown, Unavailable) as e:
        metrics.UNKNOWN.labels("docker").inc()
        log.warning("Docker gives no answer: %s", e)
        return None
    running: dict[str, bool] = {}
    for c in found:
        if c.lease:
            running[c.lease] = running.get(c.lease, False) or c.running
    return running, {c.lease: c.slice for c in found if c.lease and c.slice}

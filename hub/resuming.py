"""After a restart of the hub: those who wait, or were just given a slice, are started again."""

import logging

from hub.broker import Broker
from hub.core.lease import OPEN, Kind, Lease
from hub.errors import BadInput, NotFound, Unavailable, Unknown

log = logging.getLogger("madang.resume")


def resume(broker: Broker) -> bool:
    """Have the hub start again the servers of those who wait or were just granted a slice.

    A restarted hub has forgotten them; their place in the line is in the store. True when the
    hub has taken all of them.
    """
    try:
        known = broker.edges.hub.servers()
    except (Unknown, Unavailable) as e:
        log.info("the hub does not take servers yet: %s", e)
        return False
    left = [
        x for x in broker.state().leases.values()
        if x.request.kind is Kind.SERVER and x.stage in OPEN
        and (x.request.user, x.request.name) not in known
    ]
    return all([_start_again(broker, x) for x in left])  # noqa: C419 - each is asked


def _start_again(broker: Broker, lease: Lease) -> bool:
    """Whether the hub has answered for this one; nobody waits for another's answer."""
    owner = (lease.request.user, lease.request.name)
    try:
        broker.edges.hub.start_server(*owner, dict(lease.request.options))
    except (NotFound, BadInput) as e:
        # the person is gone, or may not have this any more: nobody else waits behind it
        log.warning("%s's server is not started again: %s", lease.request.user, e)
        broker.withdraw(lease.id, f"could not be started again: {e}")
    except (Unknown, Unavailable) as e:
        log.warning("the hub does not start %s's server yet: %s", lease.request.user, e)
        return False
    else:
        log.info("asked the hub again for %s's server", lease.request.user)
    return True

"""A run's container, created once, whoever asks for it at the same time."""

import time
from contextlib import suppress
from http import HTTPStatus

from docker import APIClient
from docker.errors import APIError, NotFound

from hub.edge.engine.answers import not_started
from hub.edge.engine.data import INSTANCE, LEASE, ContainerSpec

_WAIT = 15  # seconds for a container that is being created to be seen


def create(api: APIClient, spec: ContainerSpec, instance: str) -> str:
    """The id of the lease's container, which is created, or has just been by somebody else.

    Raises:
        Unavailable: Docker does not create it.
    """
    try:
        made = api.create_container(
            image=spec.image, command=list(spec.command), name=spec.name,
            labels={**spec.labels, INSTANCE: instance},
            environment=dict(spec.environment), user=spec.user, working_dir=spec.working_dir,
            host_config=api.create_host_config(
                binds={k: dict(v) for k, v in spec.volumes.items()},
                network_mode=spec.network, **spec.host_config,
            ),
        )
    except APIError as e:
        twin = _twin(api, spec, instance) if e.status_code == HTTPStatus.CONFLICT else None
        if twin:
            return twin
        raise not_started(e) from e
    return str(made["Id"])


def _twin(api: APIClient, spec: ContainerSpec, instance: str) -> str | None:
    """Who has the name: the same run, which somebody else starts at this moment? Its id."""
    end = time.monotonic() + _WAIT
    while time.monotonic() < end:
        # Docker keeps the name from the first moment, and shows the container later
        with suppress(NotFound):
            seen = api.inspect_container(spec.name)
            labels = seen["Config"]["Labels"] or {}
            ours = labels.get(INSTANCE) == instance
            return str(seen["Id"]) if ours and labels.get(LEASE) == spec.labels[LEASE] else None
        time.sleep(0.1)
    return None

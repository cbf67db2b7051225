"""One start of one container, from nothing to an answer on its port."""

import asyncio
import functools
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from docker.errors import ImageNotFound
from tornado.httpclient import HTTPClientError
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from hub.containers import ContainerOptions
from hub.errors import Refusal, Unavailable, Unknown
from hub.face import words
from hub.face.calls import DOCKER_ERRORS, status_of

if TYPE_CHECKING:
    from hub.face.spawner import SliceSpawner

_COMMAND = ["jupyterhub-singleuser"]
_PORT = 8888
_COURSES = 20  # seconds for what is new in somebody's courses
_KNOCK = 0.25  # seconds between two knocks at the server's door
_LOOK_EVERY = 4  # knocks between two looks whether the container still runs
_LONGEST_ANSWER = 64 << 10  # bytes; Jupyter answers with its version


class Booting:
    """A start under way; `run` may be cancelled or time out at any await."""

    def __init__(self, spawner: "SliceSpawner") -> None:
        self._spawner = spawner

    async def run(self) -> tuple[str, int]:
        """Make the container, start it, wait until it answers.

        Raises:
            Refusal: the lease is gone, or the container exited.
            docker.errors.APIError: Docker refused.
            Unknown: Docker gave no usable answer.
        """
        spawner = self._spawner
        await self._courses()
        spawner.say_stage(50, words.say(spawner.language, "Your container is being made."))
        options = await self._options()
        self._reset(options)
        # a container of an earlier start keeps its old pin: never used again
        await spawner.clear_away()
        made = await self._create(options)
        spawner.object_id = made["Id"]
        await self._confirm()
        await spawner.docker("start", spawner.object_id)
        spawner.say_stage(70, words.say(spawner.language, "Your container runs; Jupyter starts."))
        address = await self._answers(options.network)
        await spawner.line.started()
        spawner.say_stage(90, words.say(spawner.language, "Jupyter answers."))
        return address

    async def _courses(self) -> None:
        """Hand out what is new, while nobody has it open. No start fails because of a course."""
        spawner = self._spawner
        spawner.say_stage(47, words.say(spawner.language, "Your courses are brought up to date."))
        # in threads of its own: what is still under way must not hold up a stop
        late = threading.Event()
        given = asyncio.get_running_loop().run_in_executor(
            spawner.course_threads,
            lambda: spawner.handouts().all_for(spawner.user.name, lambda: not late.is_set()),
        )
        done, _ = await asyncio.wait([given], timeout=_COURSES)
        if not done:
            late.set()  # from here on a notebook may be open
            spawner.log.warning(
                "the courses of %s take more than %d seconds: the server starts without",
                spawner.user.name, _COURSES,
            )

    def explain(self, error: Exception) -> Refusal:
        """Why the start failed, for the person; the error itself is for the operator."""
        settings = self._spawner.settings
        if isinstance(error, Refusal):
            return error
        if isinstance(error, TimeoutError):
            return Unavailable(
                "Your server did not answer within {seconds} seconds.", reason="timeout",
                status=504, seconds=settings.start_timeout,
            )
        if isinstance(error, ImageNotFound):
            return Unavailable(
                "The image {image} is not on this machine. Please tell the operator (`make "
                "images`).", reason="image-missing", image=self._spawner.image,
            )
        if isinstance(error, (Unknown, *DOCKER_ERRORS)) and status_of(error) is None:
            return Unavailable(
                "Docker does not answer. Please try again in a minute, or tell the operator.",
                reason="docker", detail=f"no answer from Docker: {error}",
            )
        return Unavailable(
            "Docker could not start your server. The operator finds the reason in the hub's log.",
            reason="docker", status=500, detail=f"{type(error).__name__}: {error}",
        )

    async def _options(self) -> ContainerOptions:
        spawner = self._spawner
        lease = await spawner.line.lease()
        return await spawner.calls.store(functools.partial(spawner.options_of, lease))

    def _reset(self, options: ContainerOptions) -> None:
        """Every traitlet that matters from policy: nothing of an earlier start is left."""
        spawner = self._spawner
        spawner.image = spawner.choice.image
        spawner.cmd, spawner.args, spawner.port = list(_COMMAND), [], _PORT
        spawner.environment, spawner.volumes, spawner.mounts = {}, {}, []
        spawner.network_name, spawner.use_internal_ip = options.network, True
        spawner.extra_create_kwargs, spawner.extra_host_config = {}, {}
        # JupyterHub tells the server its limits; Docker enforces those of the broker's options
        spawner.mem_limit = spawner.settings.memory_limit
        spawner.cpu_limit = spawner.settings.cpu_limit

    async def _create(self, options: ContainerOptions) -> dict[str, Any]:
        spawner = self._spawner
        host_config = await spawner.docker(
            "create_host_config", **options.host_config, binds=dict(options.volumes),
            network_mode=options.network,
        )
        made: dict[str, Any] = await spawner.docker(
            "create_container", image=spawner.image, name=spawner.object_name,
            command=[*_COMMAND, *spawner.get_args()], labels=dict(options.labels),
            environment={
                **spawner.get_env(), **options.environment, "MADANG_LANG": spawner.language,
            },
            ports=[_PORT], host_config=host_config,
        )
        return made

    async def _confirm(self) -> None:
        """The lease may have been ended while the container was made: look right before it runs."""
        if not await self._spawner.line.may_start():
            raise Unavailable(
                "The slice that you were given was taken back before your server ran. Please "
                "start again.", reason="lease-lost", status=409,
            )

    async def _answers(self, network: str) -> tuple[str, int]:
        """Knock until it answers. One that exits is told at once, not after the time-out.

        Raises:
            Unavailable: it exited.
        """
        spawner = self._spawner
        knocks = 0
        address = ""
        while True:
            if knocks % _LOOK_EVERY == 0:
                address = await self._alive(network) or address
            if address and await self._knock(f"http://{address}:{_PORT}{spawner.server.base_url}api"):
                return address, _PORT
            knocks += 1
            await asyncio.sleep(_KNOCK)

    async def _alive(self, network: str) -> str:
        """The running container's address, or "" where Docker does not say."""
        try:
            found = await self._spawner.get_object()
        except Unknown:
            return ""
        if found is None or not found["State"]["Running"]:
            raise Unavailable(
                "Your server stopped while it was starting.", reason="exited", status=500
            )
        return str(found["NetworkSettings"]["Networks"].get(network, {}).get("IPAddress", ""))

    async def _knock(self, url: str) -> bool:
        """Whether anything answers there. The student configures what: it is not trusted.

        A redirect would have the hub, which reaches more than a container does, fetch what the
        student names; and the hub's own client reads 100 MB into memory.
        """
        client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=_LONGEST_ANSWER)
        try:
            answer = await client.fetch(
                url, raise_error=False, request_timeout=2, follow_redirects=False,
                decompress_response=False,
            )
        except (OSError, HTTPClientError):
            return False
        finally:
            client.close()
        return bool(answer.code < HTTPStatus.INTERNAL_SERVER_ERROR)

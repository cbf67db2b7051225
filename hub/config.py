"""Settings: one frozen, typed list. A TOML file, then the environment (`MADANG_…`), then defaults.

An unknown key, in the file or in the environment, is an error: a misspelt key that is silently
ignored is found by a class in front of a wall.
"""

import os
import tomllib
from datetime import time
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, FilePath, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from hub.errors import BadInput

ENV = "MADANG_"
# names that programs around the settings use; not settings, so not "unknown"
_NOT_SETTINGS = frozenset({"CONFIG", "API", "TOKEN", "TEST_OWNS_DOCKERD"})


# what an empty variable of the environment empties; all others it leaves as if it were not there
_EMPTIED = ("schedules_file", "night", "report_at")
_SOONEST_CULL = 600
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _readable(at: str) -> bool:
    try:
        time.fromisoformat(at)
    except ValueError:
        return False
    return True


class Settings(BaseSettings):
    """Every setting of Madang. `help` (the description) stands in the README's table."""

    model_config = SettingsConfigDict(
        env_prefix=ENV, frozen=True, extra="forbid", env_ignore_empty=True
    )

    name: str = Field("madang", pattern=r"^[a-z][a-z0-9-]{0,20}$", description=(
        "Name of this installation: prefix of its containers, its network and its labels."))
    node: str = Field("", description="Name of this machine; the host's name when empty.")
    data: Path = Field(Path(".madang"), description=(
        "Folder for the database, homes, logs and secrets."))
    bind: str = Field("127.0.0.1", description="Address on which people reach Madang.")
    port: int = Field(8000, ge=1, le=65535, description="Port on which people reach Madang.")
    hub_port: int = Field(8081, ge=1, le=65535, description=(
        "Port of the hub's API on the containers' network."))
    service_port: int = Field(8082, ge=1, le=65535, description=(
        "Port of Madang's service on the containers' network."))
    proxy_api_port: int = Field(8001, ge=1, le=65535, description=(
        "Port of the proxy's API, on 127.0.0.1 only."))
    database: str = Field("", description=(
        "SQLAlchemy URL; SQLite in the data folder when empty, or postgresql+psycopg://…"))

    docker: str = Field("unix:///var/run/docker.sock", description="Where Docker's API answers.")
    subnet: str = Field("", description=(
        "Subnet of the containers' network; Docker's choice when empty."))
    deny: tuple[str, ...] = Field(("169.254.0.0/16",), description=(
        "Networks that containers must not reach, besides the host itself."))
    pin: Literal["auto", "device-request", "cdi", "env"] = Field("auto", description=(
        "How a container is pinned to its slice; auto asks the daemon."))
    gpus: Literal["auto", "nvml", "simulated"] = Field("auto", description=(
        "Real cards through NVML, or simulated ones; auto simulates where there is no driver."))
    simulated: tuple[str, ...] = Field(
        ("A100-40:3g.20gb,2g.10gb,1g.5gb,1g.5gb", "A100-40:2g.10gb,2g.10gb,2g.10gb,1g.5gb"),
        description="The simulated cards: model:profile,profile,… each.")
    simulated_dir: Path = Field(Path("/var/lib/madang/simulated"), description=(
        "Where simulated cards keep their state; the stub hook reads it there."))

    images: dict[str, str] = Field(
        {"madang/notebook:latest": "PyTorch"},
        description="Allowed images: tag = title; the first is the default.")
    cpu_offer: bool = Field(default=True, description="Offer servers without a slice.")
    cpu_idle: int = Field(3600, ge=0, description=(
        "Seconds without activity after which a server without a slice is stopped; 0 for never, "
        "else at least 600."))
    ca_bundle: FilePath | None = Field(None, description=(
        "File of CA certificates that containers trust for pip and HTTPS, behind a proxy that "
        "inspects TLS."))
    cpu_limit: float = Field(2.0, gt=0, description="CPU cores per container.")
    memory_limit: str = Field("8G", pattern=r"^\d+[KMG]$", description="Memory per container.")
    shm_size: str = Field("1G", pattern=r"^\d+[KMG]$", description=(
        "Shared memory per container (PyTorch's data loaders need it)."))
    pids_limit: int = Field(1024, ge=64, description="Processes and threads per container.")

    start_timeout: int = Field(120, ge=5, description="Seconds a container may take to answer.")
    start_parallel: int = Field(4, ge=1, description=(
        "Servers that start at the same time; the others wait their turn."))
    stop_timeout: int = Field(10, ge=1, description=(
        "Seconds between SIGTERM and SIGKILL for a server."))
    run_stop_timeout: int = Field(30, ge=1, description=(
        "Seconds a run has to save and exit after SIGTERM."))
    run_timeout: int = Field(12 * 3600, ge=1, description="Longest time a run may take, seconds.")
    tick: float = Field(2.0, gt=0.05, description="Seconds between two looks at the machine.")
    dirty: int = Field(600, ge=1, description=(
        "Seconds after which a slice that does not come clean is quarantined."))
    settle: int = Field(10, ge=0, description=(
        "Seconds before an unfinished start is believed to have left nothing behind."))
    waiting_max: int = Field(24 * 3600, ge=1, description="Longest wait in the line, seconds.")

    min_hold: int = Field(3600, ge=1, description=(
        "Seconds for which a slice is promised to whoever gets it."))
    max_hold: int = Field(12 * 3600, ge=1, description=(
        "Seconds after which even a busy server gives its slice back."))
    run_hold: int = Field(600, ge=0, description=(
        "Seconds a run holds its slice before somebody in front of a screen may have it."))
    notice: int = Field(900, ge=1, description=(
        "Seconds between telling somebody to give a slice back and taking it."))
    idle: int = Field(1800, ge=1, description=(
        "Seconds without work after which a holder is the first to give back."))
    half_life_days: float = Field(7.0, gt=0, description=(
        "Days after which use counts half in the fair shares."))
    entry: int = Field(1800, ge=0, description="Seconds of use charged in advance with each slice.")
    patience: int = Field(4 * 3600, ge=1, description=(
        "Seconds in the line after which a server goes before everybody's share."))
    run_patience: int = Field(24 * 3600, ge=1, description="The same for a run.")
    night: str = Field("22:00-07:00", pattern=f"^({_CLOCK}-{_CLOCK})?$", description=(
        "Hours, in `timezone`, in which runs are served by share like servers, and ask back what "
        "is held beyond its promise; none when empty."))
    grace: int = Field(900, ge=0, description=(
        "Seconds for which reserved slices are kept for the group in its hours."))
    margin: int = Field(600, ge=0, description=(
        "Seconds before a reservation at which others have to leave."))
    timezone: str = Field("UTC", description=(
        "Time zone of the timetable (Asia/Seoul): quotas' weeks, and reservations without one."))
    week_starts: str = Field("Mon 00:00", description=(
        "When the week of the quotas begins, in that time zone."))

    runs_open: int = Field(2000, ge=1, description=(
        "Runs that one person may have that have not ended, planned ones too."))
    runs_in_line: int = Field(20, ge=1, description=(
        "Runs of one person that stand in the line or run at once; more are planned until then."))
    keep_days: int = Field(30, ge=1, description=(
        "Days for which inputs, logs and results of ended runs are kept on the host."))
    notebook_mib: int = Field(20, ge=1, description="Largest notebook that can be submitted, MiB.")
    snapshot_mib: int = Field(20, ge=0, description=(
        "Largest folder that can be submitted with a notebook, packed, MiB."))
    output_mib: int = Field(50, ge=0, description=(
        "Largest output notebook of which the host keeps a copy for reports, MiB."))
    course_file_mib: int = Field(50, ge=1, description="Largest file of a course, MiB.")
    course_mib: int = Field(500, ge=1, description=(
        "All files of a course together, and the most that can be pushed at once, MiB."))
    collect_mib: int = Field(100, ge=1, description=(
        "Most that is collected of one student at a deadline, and largest feedback, MiB."))
    course_files: int = Field(5000, ge=1, description="Most files of a course.")
    notify_hosts: tuple[str, ...] = Field((), description=(
        "Hosts that may be told of a run's end although they are not on the public internet: "
        "chat.example.ac.kr, 10.0.0.5:8065, *.example.ac.kr:*."))
    notify_mail_domains: tuple[str, ...] = Field((), description=(
        "Domains to which mail may go; besides, it goes to people whose name is an address."))
    ntfy_server: str = Field("https://ntfy.sh", pattern=r"^https?://[^\s]+$", description=(
        "Server of ntfy://TOPIC."))
    smtp_host: str = Field("", description="Mail server; without one no mail is sent.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port: 587, 465 or 25.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field("starttls", description=(
        "How the way to it is made safe: starttls (587), tls (465), none (a relay on this machine)."
    ))
    smtp_from: str = Field("", pattern=r"^([^@\s]+@[^@\s]+)?$", description=(
        "Sender of the mail: madang@example.ac.kr."))
    smtp_user: str = Field("", description="User at the mail server, where it wants one.")
    smtp_password_file: Path | None = Field(None, description=(
        "File (mode 600) with that user's password."))
    public_url: str = Field("", pattern=r"^(https?://[^\s]+)?$", description=(
        "Where people reach Madang, for links in what is sent: https://madang.example.ac.kr; no "
        "links when empty."))
    schedules_file: Path | None = Field(Path("notebooks/schedules.toml"), description=(
        "File of schedules, read at start and whenever it has changed; none when empty."))
    report_at: str = Field("07:00", description=(
        "When the day's report is put into people's homes, in that time zone; never when empty."))
    language: Literal["en", "ko"] = Field("en", description=(
        "Language of what is written while nobody reads: the reports in people's homes."))
    disk_free_mib: int = Field(1024, ge=0, description=(
        "Free space in the data folder below which nothing new starts, MiB."))

    authenticator: Literal["shared-password", "oidc", "pam", "ldap"] = Field(
        "shared-password", description="How people log in; shared-password is for the demo only.")
    roster: Path | None = Field(None, description=(
        "CSV file of people: name,group,role; read at start."))
    oidc_authorize_url: str = Field("", description="OpenID Connect: authorisation endpoint.")
    oidc_token_url: str = Field("", description="OpenID Connect: token endpoint.")
    oidc_userdata_url: str = Field("", description="OpenID Connect: userinfo endpoint.")
    oidc_client_id: str = Field("", description="OpenID Connect: client id.")
    oidc_client_secret_file: Path | None = Field(None, description=(
        "OpenID Connect: file (mode 600) with the client secret."))
    oidc_callback_url: str = Field("", description=(
        "OpenID Connect: our callback, https://…/hub/oauth_callback."))
    oidc_username_claim: str = Field("preferred_username", description=(
        "OpenID Connect: claim that names the person."))
    ldap_server: str = Field("", description="LDAP: server address.")
    ldap_bind_dn: tuple[str, ...] = Field((), description=(
        "LDAP: bind DN templates with {username}."))

    @field_validator("data", "simulated_dir", "schedules_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        # the hub, its service and the command line run in different folders
        return None if value is None else (
            Path(__file__).resolve().parents[1] / value.expanduser()
        )

    @field_validator("schedules_file", mode="before")
    @classmethod
    def _or_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("cpu_idle")
    @classmethod
    def _not_too_soon(cls, value: int) -> int:
        # servers tell the hub of their activity every five minutes: sooner would end who works
        if 0 < value < _SOONEST_CULL:
            raise ValueError(f"must be 0 (never) or at least {_SOONEST_CULL} seconds")
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as e:
            raise ValueError(f"unknown time zone {value!r}; write it like Asia/Seoul") from e
        return value

    @field_validator("week_starts")
    @classmethod
    def _week(cls, value: str) -> str:
        day, _, at = value.partition(" ")
        if day not in WEEKDAYS or not _readable(at):
            raise ValueError(f"{value!r} is no moment of a week; write it like 'Mon 06:00'")
        return value

    @field_validator("report_at")
    @classmethod
    def _clock(cls, value: str) -> str:
        if value and not _readable(value):
            raise ValueError(f"{value!r} is no time of a day; write it like 07:00")
        return value

    @property
    def database_url(self) -> str:
        """The store's SQLAlchemy URL."""
        return self.database or f"sqlite:///{self.data / 'madang.sqlite'}"

    @property
    def node_name(self) -> str:
        """The node's name, never empty."""
        return self.node or os.uname().nodename

    @property
    def default_image(self) -> str:
        """The image used where nobody chose one."""
        return next(iter(self.images))


def load(path: Path | None = None) -> Settings:
    """The settings from `path` (TOML; default: `$MADANG_CONFIG`, else none) and the environment.

    Raises:
        BadInput: unreadable file, unknown key, or a value of the wrong kind; names each of them.
    """
    named = os.environ.get(f"{ENV}CONFIG")
    path = path or (Path(named) if named else None)
    _check_environment()
    values = _read(path) if path else {}
    # the environment wins over the file: init values would win, so drop what it sets
    taken = {k.removeprefix(ENV).lower() for k, v in os.environ.items() if k.startswith(ENV) and v}
    emptied = {k: "" for k in _EMPTIED if os.environ.get(f"{ENV}{k.upper()}") == ""}
    try:
        return Settings(**{k: v for k, v in values.items() if k not in taken} | emptied)
    except ValidationError as e:
        where = str(path) if path else "environment"
        raise BadInput(
            "Settings ({where}): {problems}", reason="config", where=where, problems=_problems(e)
        ) from e
    except SettingsError as e:  # lists and tables are JSON in the environment
        raise BadInput(
            "Settings (environment): {problem} ({why})", reason="config", problem=e,
            why=e.__cause__,
        ) from e


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise BadInput(
            "Cannot read the settings file {path}: {error}", reason="config", path=path, error=e
        ) from e


def _check_environment() -> None:
    known = {x.upper() for x in Settings.model_fields} | _NOT_SETTINGS
    unknown = sorted(
        k for k in os.environ if k.startswith(ENV) and k.removeprefix(ENV) not in known
    )
    if unknown:
        raise BadInput(
            "Unknown setting in the environment: {names}. The README lists every setting.",
            reason="config", names=", ".join(unknown),
        )


def _problems(error: ValidationError) -> str:
    lines = []
    for e in error.errors():
        key = ".".join(str(x) for x in e["loc"])
        unknown = e["type"] == "extra_forbidden"
        lines.append(f"unknown key {key!r}" if unknown else f"{key}: {e['msg']}")
    return "; ".join(lines)

"""`madang` on the host: the REST verbs of the image, and the verbs that need the machine.

Exit codes as the REST verbs': 0 done; 2 refused, or a mistake in what was typed; 3 Madang does not
run. `status` ends with 4 when Madang runs and does not answer, `doctor` with 1 when a check fails.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from madang import cli as rest
from madang.client import Problem, configure

from hub import config, upkeep
from hub import doctor as checks
from hub.config import Settings
from hub.core.roster import Role
from hub.errors import Refusal, Unavailable, Unknown
from hub.face import keys, programs, replay, secrets_cli
from hub.face import serve as supervisor

app = rest.app
database = typer.Typer(no_args_is_help=True, help="Upgrade or back up the database.")
roster = typer.Typer(no_args_is_help=True, help="Check or load the list of people.")
app.add_typer(database, name="database")
app.add_typer(roster, name="roster")
app.add_typer(secrets_cli.secret, name="secret")

_REFUSED, _NOT_RUNNING, _SILENT = 2, 3, 4
_MARKS = {checks.Level.OK: "ok  ", checks.Level.WARN: "warn", checks.Level.FAIL: "FAIL"}
_COLOURS = {
    checks.Level.OK: typer.colors.GREEN, checks.Level.WARN: typer.colors.YELLOW,
    checks.Level.FAIL: typer.colors.RED,
}
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command line; a refusal is one line and exit code 2, never a traceback."""
    with _told(), rest.piped():
        _offer_operator_token()
        app()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (Refusal, Unknown, Problem) as e:
        typer.echo(f"madang: {e}", err=True)
        raise SystemExit(getattr(e, "code", _REFUSED)) from e


def config_file() -> Path | None:
    """The settings file: `$MADANG_CONFIG`, else `madang.toml` beside this checkout, else none."""
    named = os.environ.get("MADANG_CONFIG")
    path = Path(named).absolute() if named else programs.ROOT / "madang.toml"
    return path if named or path.is_file() else None


def _settings() -> Settings:
    return config.load(config_file())


def _offer_operator_token() -> None:
    """Let the REST verbs speak as the operator, where this person may read the operator's token."""
    try:
        settings = _settings()
        token = keys.path(settings, "operator.token").read_text().strip()
    except (OSError, Refusal):
        return  # nothing is lost: a REST verb says itself what it lacks, a host verb needs none
    configure(f"{programs.url(settings)}/services/madang/api", token)


# ---- running ---------------------------------------------------------------------------------


@app.command("serve")
def serve(
    detach: Annotated[
        bool, typer.Option("--detach", help="Go to the background once it answers.")] = False,
    systemd_unit: Annotated[
        bool, typer.Option("--systemd-unit", help="Print a systemd unit and exit.")] = False,
) -> None:
    """Run the hub and the proxy until told to stop; restart the one that dies."""
    settings, named = _settings(), config_file()
    if systemd_unit:
        print(programs.unit(settings, named), end="")
        return
    if detach:
        _detach(settings)
        return
    keys.ensure(settings)
    supervisor.serve(settings, named, prepare=lambda: upkeep.prepare(settings))


def _detach(settings: Settings) -> None:
    pid = supervisor.running(settings)
    if pid and not programs.answers(f"{programs.url(settings)}/hub/health"):
        raise Unavailable(
            "Madang is already running (pid {pid}), but does not answer on {url}. It may have "
            "been started with other settings: `make down` first, or see `make logs`.",
            pid=pid, url=programs.url(settings),
        )
    if pid:
        print(f"Madang is already running (pid {pid}) on {programs.url(settings)}")
        return
    pid = supervisor.detach(settings)
    print(f"Madang runs (pid {pid}) on {programs.url(settings)}")


@app.command("down")
def down() -> None:
    """Stop the hub, the proxy and people's containers; the data stays."""
    settings = _settings()
    pid = supervisor.down(settings)
    print(f"Stopped Madang (pid {pid})." if pid else "Madang was not running.")
    count = upkeep.clear(settings)
    print(f"Stopped {count} container{'' if count == 1 else 's'}. Homes and database stay in "
          f"{settings.data}.")


@app.command("status")
def status(as_json: Json = False) -> None:
    """Say whether Madang runs and answers; exit code 3: it does not run, 4: it does not answer."""
    settings = _settings()
    pid = supervisor.running(settings)
    answers = pid is not None and supervisor.healthy(settings)
    if as_json:
        print(json.dumps({"pid": pid, "answers": answers, "url": programs.url(settings)}))
    elif pid is None:
        print("Madang does not run: `make run`.")
    else:
        said = "answers" if answers else f"does not answer: see {settings.data / 'log'}"
        print(f"Madang runs (pid {pid}); {programs.url(settings)} {said}.")
    if not answers:
        raise typer.Exit(_NOT_RUNNING if pid is None else _SILENT)


@app.command("uninstall")
def uninstall(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove Madang's containers, network and firewall rules from this machine; data stays."""
    settings = _settings()
    if not yes:
        typer.confirm(f"Stop {settings.name} and remove its containers and network?", abort=True)
    supervisor.down(settings)
    upkeep.uninstall(settings)
    print(f"Removed. The data is still in {settings.data}.")


# ---- looking ---------------------------------------------------------------------------------


@app.command("doctor")
def doctor(as_json: Json = False) -> None:
    """Check this machine, line by line, with what to do; exit code 1 if something fails."""
    settings = _settings()
    os.environ["PATH"] = programs.search_path()
    facts = []
    for fact in checks.examine(settings, up=supervisor.running(settings) is not None):
        facts.append(fact)
        if not as_json:
            _print(fact)
    if as_json:
        print(json.dumps([asdict(x) for x in facts], ensure_ascii=False, indent=2))
    if any(x.level is checks.Level.FAIL for x in facts):
        raise typer.Exit(1)


def _print(fact: checks.Fact) -> None:
    mark = typer.style(_MARKS[fact.level], fg=_COLOURS[fact.level])
    typer.echo(f"{mark}  {fact.name}: {fact.found}")
    if fact.advice:
        typer.echo(f"        → {fact.advice}")


@app.command("accounts")
def accounts(as_json: Json = False) -> None:
    """Print where to go, and the demo's accounts with their passwords."""
    settings = _settings()
    demo = settings.authenticator == "shared-password"
    people = [
        {"name": x.name, "role": str(x.role), "group": x.group,
         **({"password": _password(settings, x.role)} if demo else {})}
        for x in upkeep.roster(settings)
    ]
    if as_json:
        print(json.dumps(people, ensure_ascii=False, indent=2))
        return
    print(f"Open   {programs.url(settings)}\n")
    for one in people:
        print("  " + "  ".join(str(one.get(k, "")).ljust(w) for k, w in _WIDTHS.items()).rstrip())
    print(_NEXT.format(data=settings.data))


_WIDTHS = {"name": 14, "password": 34, "role": 11, "group": 10}
_NEXT = """
Logs: {data}/log (`make logs`)    Check the machine: `make doctor`    Stop: `make down`
From this terminal: `.venv/bin/madang slices`, `… line`, `… run submit --help`"""


def _password(settings: Settings, role: Role) -> str:
    name = "admin-password" if role is Role.OPERATOR else "user-password"
    return keys.read(settings, name)


@app.command("settings")
def settings_(as_json: Json = False) -> None:
    """Print every setting with the value that is in force."""
    values = _settings().model_dump(mode="json")
    if as_json:
        print(json.dumps(values, ensure_ascii=False, indent=2))
        return
    for name, value in values.items():
        print(f"{name} = {json.dumps(value, ensure_ascii=False)}")


app.command("replay")(replay.replay)


# ---- database and roster ---------------------------------------------------------------------


@database.command("upgrade")
def upgrade() -> None:
    """Bring the database to the schema of this version; a SQLite file is copied before."""
    done = upkeep.upgrade(_settings())
    print("The database is now at its newest schema." if done else "Nothing to do.")


@database.command("backup")
def backup(
    folder: Annotated[Path, typer.Argument(help="Where the copy's own folder is made.")] = Path(),
) -> None:
    """Copy the databases and the secrets while Madang runs; homes are plain files beside them."""
    made = upkeep.backup(_settings(), folder.absolute(), datetime.now(UTC))
    for path in made:
        print(path)
    if not made:
        typer.echo("madang: there is nothing to back up yet", err=True)
        raise typer.Exit(_REFUSED)


@roster.command("check")
def check(file: Annotated[Path, typer.Argument(help="CSV: name,group,role")]) -> None:
    """Read a roster file and say what is wrong with it; change nothing."""
    _say_roster(upkeep.roster_read(file), "is well-formed")


@roster.command("load")
def load(file: Annotated[Path, typer.Argument(help="CSV: name,group,role")]) -> None:
    """Replace the roster; with one bad line nothing is changed."""
    members = upkeep.roster_read(file)
    upkeep.roster_load(_settings(), members)
    _say_roster(members, "is loaded")


def _say_roster(members: tuple[Any, ...], what: str) -> None:
    counts = upkeep.counts(members)
    print(f"The roster {what}: " + ", ".join(f"{counts[x]} {x}s" for x in Role) + ".")


if __name__ == "__main__":
    main()

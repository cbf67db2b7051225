"""Following a run: its place in the line, its cells, what it prints, and its end."""

import queue
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from madang.client import UNREACHABLE, Client, Problem
from madang.messages import t

ENDS = {
    "succeeded": 0, "failed": 1, "cancelled": 75, "interrupted": 75, "timed-out": 124,
    "out-of-memory": 137, "lost": 137, "kernel-died": 138,
}
REFUSED = 2
_POLL = 3.0  # seconds between two looks at the line
_RETRY, _PATIENCE = 2.0, 60.0  # seconds; after a restart the service is back in some ten
_STAGES = {
    "planned": "planned: not in the line yet", "waiting": "in the line", "starting": "starting",
    "running": "running", "stopping": "stopping: it saves what it has",
}
_OURS = "madang: "
_TAIL = 400  # characters by which a log that is sent again is recognised


def code_of(run: Mapping[str, Any]) -> int:
    """A run's end as the exit code of the command that followed it."""
    if run["stage"] == "failed" and run.get("exit_code") == REFUSED:
        return REFUSED
    return ENDS.get(run["stage"], UNREACHABLE)


def stage_of(run: Mapping[str, Any]) -> str:
    """A run's stage in a list; with the attempt, once it has had to give a slice back."""
    attempt = run.get("attempt", 1)
    stage = str(run["stage"])
    return stage if attempt == 1 else t("{stage}, attempt {attempt}", stage=stage, attempt=attempt)


def follow(client: Client, id: str, *, quiet: bool = False) -> dict[str, Any]:
    """Show a run until it has ended; what it came to.

    Raises:
        Problem: no such run; or Madang stayed away for a minute, and the run goes on.
        KeyboardInterrupt: the person has seen enough; the run goes on.
    """
    # at once: a mistaken id or a service that is away is said before anything is waited for
    run: dict[str, Any] = client.call("GET", f"runs/{id}")
    with _screen(quiet=quiet) as screen:
        for event, data in _events(client, run["id"]):
            if event == "run":
                run = data
                screen.run(run)
            elif event == "log":
                screen.log(data)
            elif event == "away":
                screen.say(t("the connection to Madang broke; trying again"))
            if run["stage"] == "waiting" and event in {"run", "tick"}:
                screen.say(_place(client, run))
    return run if run["stage"] in ENDS else dict(client.call("GET", f"runs/{run['id']}"))


def _place(client: Client, run: Mapping[str, Any]) -> str:
    try:
        line = client.call("GET", "line")
    except Problem:
        return ""
    attempt = run.get("attempt", 1)
    lease = run["id"] if attempt == 1 else f"{run['id']}-{attempt}"
    mine = [x for x in line if x.get("id") == lease]
    return t(
        "in the line, number {position} for {profile}",
        position=mine[0]["position"], profile=run["profile"],
    ) if mine else t("in the line")


def _events(client: Client, id: str) -> Iterator[tuple[str, Any]]:
    """The run's events, and a `tick` when there was none for some seconds. Ends with the run."""
    # a thread reads, so that waiting for the next event is a wait that Ctrl-C and a clock can end
    found: queue.Queue[tuple[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(client, id, found), daemon=True).start()
    while True:
        try:
            event, data = found.get(timeout=_POLL)
        except queue.Empty:
            event, data = "tick", None
        if event == "end":
            return
        if event == "problem":
            raise data
        yield event, data


def _read(client: Client, id: str, found: queue.Queue[tuple[str, Any]]) -> None:
    """Put the run's events into `found`; a stream that breaks is taken up again where it was."""
    log, since = _Once(), time.monotonic()
    while True:
        try:
            for event, data in client.events(f"runs/{id}/events"):
                since = time.monotonic()
                found.put((event, log.new(data) if event == "log" else data))
                if event == "end":
                    return
            error = Problem("", UNREACHABLE)
        except Problem as e:
            error = e
        except Exception as e:  # noqa: BLE001 - a thread's error is seen by nobody else
            error = Problem(f"{type(e).__name__}: {e}")
        if error.code != UNREACHABLE or time.monotonic() - since > _PATIENCE:
            found.put(("problem", _given_up(error, id)))
            return
        log.again()
        found.put(("away", None))
        time.sleep(_RETRY)


def _given_up(error: Problem, id: str) -> Problem:
    if error.code != UNREACHABLE:
        return error
    return Problem(t(
        "the connection to Madang broke: {error}. The run goes on: madang run show {id}",
        error=error, id=id,
    ), UNREACHABLE)


class _Once:
    """A log that is sent from its beginning with every connection, each character once."""

    def __init__(self) -> None:
        self._tail = ""
        self._repeated = False

    def again(self) -> None:
        self._repeated = bool(self._tail)

    def new(self, text: str) -> str:
        if self._repeated:
            self._repeated = False
            at = text.rfind(self._tail)
            # not found: so much was printed meanwhile that the service has left the rest out
            text = text[at + len(self._tail):] if at >= 0 else text
        self._tail = (self._tail + text)[-_TAIL:]
        return text


# ---- showing ------------------------------------------------------------------------------------


class _Plain:
    """Lines: the run's own on stdout, ours on stderr, each change once."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._said = ""
        self._stage = ("", 0)
        self._open = ""
        self._tenth = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            self._line(self._open)

    def run(self, run: Mapping[str, Any]) -> None:
        """The run has changed; cells are told by its log."""
        stage, at = run["stage"], (run["stage"], run.get("attempt", 1))
        if stage == "waiting":
            self.say(run.get("message", ""))  # why it waits again
        elif stage in _STAGES and at != self._stage:
            self.say(t(_STAGES[stage]))
        self._stage = at  # each once: a run that goes on tells of itself after every cell

    def say(self, text: str) -> None:
        """One line of ours, if it is new."""
        if text and text != self._said and not self._quiet:
            self._said = text
            self._ours(text)

    def log(self, text: str) -> None:
        """More of what the run prints; a line is shown when it is whole."""
        *lines, self._open = (self._open + text).split("\n")
        for line in lines:
            self._line(line)

    def _line(self, line: str) -> None:
        if line.startswith(_OURS):
            self._count(line.removeprefix(_OURS))
        elif not self._quiet:
            self._theirs(line)

    def _count(self, text: str) -> None:
        """`cell 1/3`, `progress 2/10`; anything else of ours is for the service."""
        word, _, rest = text.partition(" ")
        done, _, of = rest.partition("/")
        if done.isdecimal() and of.isdecimal():
            if word == "cell":
                self._at(int(done), int(of))
            elif word == "progress" and int(of):
                self._steps(int(done), int(of))

    def _at(self, cell: int, cells: int) -> None:
        self._tenth = -1
        self.say(t("cell {cell}/{cells}", cell=cell, cells=cells))

    def _steps(self, done: int, of: int) -> None:
        # a line for each tenth: a file of them is read by people
        if done * 10 // of != self._tenth:
            self._tenth = done * 10 // of
            self.say(t("step {done}/{of}", done=done, of=of))

    def _ours(self, text: str) -> None:
        typer.echo(text, err=True)

    def _theirs(self, line: str) -> None:
        typer.echo(line)


class _Bar(_Plain):
    """A terminal: the log runs above, a bar of cells stands below."""

    def __init__(self) -> None:
        super().__init__(quiet=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(),
            TextColumn("{task.fields[cells]}", markup=False), TimeElapsedColumn(),
            console=Console(), transient=True,
        )
        self._task = self._progress.add_task("", total=None, cells="")
        self._cell = (0, 0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._progress.stop()

    def _at(self, cell: int, cells: int) -> None:
        self._cell = (cell, cells)
        text = t("cell {cell}/{cells}", cell=cell, cells=cells)
        self._progress.update(self._task, completed=cell - 1, total=cells, cells=text)

    def _steps(self, done: int, of: int) -> None:
        cell, cells = self._cell
        text = f"{t('cell {cell}/{cells}', cell=cell, cells=cells)}, " if cells else ""
        text += t("step {done}/{of}", done=done, of=of)
        part = max(cell - 1, 0) + min(done / of, 1)
        self._progress.update(self._task, completed=part, total=cells or 1, cells=text)

    def _ours(self, text: str) -> None:
        self._progress.update(self._task, description=text)

    def _theirs(self, line: str) -> None:
        self._progress.console.print(Text(line), soft_wrap=True)


def _screen(*, quiet: bool) -> _Plain:
    terminal = sys.stdout.isatty() and sys.stderr.isatty()
    return _Bar() if terminal and not quiet else _Plain(quiet=quiet)


def summary(run: Mapping[str, Any]) -> str:
    """One line on how a run ended."""
    begun, ended = run.get("started_at"), run.get("ended_at")
    if not begun or not ended:
        text = t("run {id}: {stage}", id=run["id"], stage=run["stage"])
        return f"{text}. {run['message']}" if run.get("message") else text
    took = datetime.fromisoformat(ended) - datetime.fromisoformat(begun)
    return t(
        "run {id}: {stage} after {time}. {message}", id=run["id"], stage=run["stage"],
        time=lasted(took.total_seconds()), message=run.get("message", ""),
    ).rstrip()


def lasted(seconds: float) -> str:
    """How long, like 1m05s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{rest:02}s" if hours else f"{minutes}m{rest:02}s"

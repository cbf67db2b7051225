"""`madang replay`: the line played again on a trace, under this house's policy and others'.

Speaks to whoever runs the machine; the page that it writes speaks Korean too.
"""

import json
import os
import string
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text as Cell

from hub import config, replaying
from hub.config import Settings
from hub.core.replay import traces
from hub.core.replay.contest import OURS, Lab, Told, contest, house_of, prepared
from hub.core.replay.jobs import CARDS, HOUR, Trace, slices_of
from hub.core.replay.scores import Part, Score
from hub.core.replay.whatif import lab_of, weights_of
from hub.errors import BadInput
from hub.face import replayed, words

_WIDE = 10_000  # a pipe has no width: what is cut at 80 is missing in a script
_GROUPS = 26


class By(StrEnum):
    """Whose waits are shown beside the policies' own."""

    GROUP = "group"
    USER = "user"


@dataclass(frozen=True)
class _Asked:
    """What was typed. None: not typed."""

    trace: Path | None
    store: bool
    people: int | None
    groups: int | None
    weights: str
    cards: tuple[str, ...]
    days: int
    load: float | None
    seed: int | None


def replay(  # noqa: PLR0913, PLR0917 - a verb's options
    trace: Annotated[Path | None, typer.Argument(
        help="A trace's file: openb's pod list, or Philly's run times.")] = None,
    store: Annotated[bool, typer.Option(
        "--store", help="The history of this house instead.")] = False,
    people: Annotated[int | None, typer.Option(help="People of a trace's lab (30).")] = None,
    groups: Annotated[int | None, typer.Option(
        help="Groups of a trace's lab, called a, b, c … (3).")] = None,
    weights: Annotated[str, typer.Option(help="Weights of groups: a=2,b=1.")] = "",
    cards: Annotated[list[str] | None, typer.Option(
        help="The cards, each model:profile,…; several with ; or by giving this again.")] = None,
    days: Annotated[int, typer.Option(
        help="Days that a trace is laid on, or of the history.")] = 14,
    load: Annotated[float | None, typer.Option(
        help="How much of all slice-hours a trace's lab asks for (1.0).")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed is another chance (1).")] = None,
    compare: Annotated[list[str] | None, typer.Option(
        help="Ours with changes: 'min_hold=30m notice=5m', 'weights=a=2', 'more=A100-40:7g.40gb'."
    )] = None,
    by: Annotated[By, typer.Option(help="Waits of groups or of people.")] = By.GROUP,
    json_file: Annotated[Path | None, typer.Option(
        "--json", help="Write all figures to this file; - prints them and nothing else.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots to this file.")] = None,
    language: Annotated[str, typer.Option(help="The page's language: en or ko.")] = "",
) -> None:
    """Play a trace again under our policy and others', and compare waits and fairness."""
    asked = _Asked(
        trace, store, people, groups, weights, tuple(cards or ()), days, load, seed)
    speaks = _language(language)
    jobs, lab = _of_store(asked) if store else _of_file(asked)
    known = {x.group for x in jobs.jobs} | set(lab.house.groups)
    others = [lab_of(x, lab, known) for x in compare or ()]
    for path in (json_file, html):
        _check_writable(path)
    scores = _played(jobs, lab, others)
    if html is not None:
        page = replayed.page(jobs, lab, scores, speaks, datetime.now(UTC))
        html.write_text(page, encoding="utf-8")
    figures = {"trace": _of_trace(jobs, lab), "policies": [asdict(x) for x in scores]}
    if json_file == Path("-"):
        print(json.dumps(figures, indent=1, ensure_ascii=False))
        return
    if json_file is not None:
        json_file.write_text(
            json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    _show(jobs, scores, by)


def _language(typed: str) -> str:
    if typed and typed not in words.languages():
        raise BadInput(
            "--language: {language} is none of {known}.", reason="replay", language=repr(typed),
            known=", ".join(words.languages()),
        )
    # the shell's own: ko_KR.UTF-8
    return typed or words.choose(os.environ.get("LANG", "").replace("_", "-"))


def _check_writable(path: Path | None) -> None:
    """Before minutes of work, not after them."""
    if path is None or path == Path("-"):
        return
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as e:
        raise BadInput("Cannot write {path}: {error}", reason="replay", path=path, error=e) from e


# ---- what is played ------------------------------------------------------------------------------


def _settings() -> Settings:
    from hub.face import cli  # it imports this module: the verb is one of its own

    return config.load(cli.config_file())


def _of_file(asked: _Asked) -> tuple[Trace, Lab]:
    if asked.trace is None:
        raise BadInput(
            "Name a trace's file, or --store for the history of this house.", reason="replay")
    count = 3 if asked.groups is None else asked.groups
    if not 1 <= count <= _GROUPS:
        raise BadInput("--groups needs 1 to {most}.", reason="replay", most=_GROUPS)
    names = string.ascii_lowercase[:count]
    weights = dict.fromkeys(names, 1.0) | _weights(asked, names)
    typed = {"people": asked.people, "load": asked.load, "seed": asked.seed}
    given: dict[str, Any] = {k: x for k, x in typed.items() if x is not None}
    plan = traces.Plan(weights=weights, days=asked.days, **given)
    slices = slices_of(_cards(asked) or CARDS)
    trace = traces.trace_of(replaying.text_of(asked.trace), slices, plan)
    return trace, Lab(OURS, slices, house_of(replaying.house_of(_settings()), weights))


def _of_store(asked: _Asked) -> tuple[Trace, Lab]:
    unused = {
        "TRACE": asked.trace, "--people": asked.people, "--groups": asked.groups,
        "--load": asked.load, "--seed": asked.seed,
    }
    typed = [k for k, x in unused.items() if x is not None]
    if typed:
        raise BadInput(
            "The history is what it was: {typed} cannot be given with --store.", reason="replay",
            typed=", ".join(typed),
        )
    if not 1 <= asked.days <= traces.MOST_DAYS:
        raise BadInput("--days needs 1 to {most}.", reason="replay", most=traces.MOST_DAYS)
    trace, lab = replaying.own(_settings(), OURS, asked.days, datetime.now(UTC))
    if cards := _cards(asked):
        lab = replace(lab, slices=slices_of(cards))
    names = {x.group for x in trace.jobs} | set(lab.house.groups)
    lab = replace(lab, house=house_of(lab.house, _weights(asked, names)))
    return prepared(trace, lab), lab


def _weights(asked: _Asked, groups: Iterable[str]) -> dict[str, float]:
    return weights_of(asked.weights, set(groups)) if asked.weights else {}


def _cards(asked: _Asked) -> list[str]:
    return [x.strip() for text in asked.cards for x in text.split(";") if x.strip()]


def _played(trace: Trace, lab: Lab, others: Sequence[Lab]) -> list[Score]:
    """Every policy's scores, with a bar on the terminal meanwhile."""
    err = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        return list(contest(trace, lab, others, told=_told(bars)))


def _told(bars: Progress) -> Told:
    tasks: dict[str, Any] = {}

    def told(name: str, part: float) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=1.0)
        bars.update(tasks[name], completed=part)

    return told


# ---- what is printed -----------------------------------------------------------------------------


def _of_trace(trace: Trace, lab: Lab) -> dict[str, Any]:
    return {
        "name": trace.name, "days": trace.length / 24 / HOUR, "jobs": len(trace.jobs),
        "said": [str(x) for x in trace.said],
        "slices": [f"{s.key.gpu}/{s.key.profile}" for s in lab.slices],
    }


def _percent(part: float) -> str:
    return f"{part:.0%}"


_COLUMNS: dict[str, Callable[[Score], str]] = {
    "POLICY": lambda x: x.policy,
    "SERVERS p50": lambda x: replayed.length(x.servers.p50),
    "p95": lambda x: replayed.length(x.servers.p95),
    "RUNS p50": lambda x: replayed.length(x.runs.p50),
    "p95 ": lambda x: replayed.length(x.runs.p95),
    "JAIN people": lambda x: f"{x.jain_people:.2f}",
    "groups": lambda x: f"{x.jain_groups:.2f}",
    "SERVED h": lambda x: f"{x.served:.0f}",
    "of wanted": lambda x: _percent(x.served / x.wanted if x.wanted else 1.0),
    "ACTIVE": lambda x: _percent(x.active),
    "GAVE UP": lambda x: str(x.gave_up),
    "ASKED BACK": lambda x: str(x.asked_back),
}


def _show(trace: Trace, scores: Sequence[Score], by: By) -> None:
    out = Console(width=None if sys.stdout.isatty() else _WIDE, soft_wrap=False, highlight=False)
    out.print(Cell(
        f"{trace.name}: {len(trace.jobs)} jobs in {trace.length / 24 / HOUR:.1f} days, "
        f"{scores[0].wanted:.0f} slice-hours wanted"
    ))
    for line in trace.said:
        out.print(Cell(f"  - {line}"))
    out.print()
    out.print(_table(_COLUMNS, [[f(x) for f in _COLUMNS.values()] for x in scores]))
    out.print()
    out.print(_waits(scores, by))
    _show_eta(out, scores)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, title in enumerate(columns):
        table.add_column(title, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Cell, row))  # Cell: a name like [red] is shown, not obeyed
    return table


def _waits(scores: Sequence[Score], by: By) -> Table:
    """Waits p50 / p95, and use over share, of each group or person under each policy."""
    def parts(x: Score) -> Sequence[Part]:
        return x.groups if by is By.GROUP else x.people

    def cell(x: Part) -> str:
        use = f"  {x.held / x.share:.2f}" if x.share else ""
        return f"{replayed.length(x.waits.p50)} / {replayed.length(x.waits.p95)}{use}"

    return _table(
        [f"{by.value.upper()}: WAIT p50 / p95  USE OVER SHARE", *(x.policy for x in scores)],
        ([part.name or "-", *(cell(parts(x)[i]) for x in scores)]
         for i, part in enumerate(parts(scores[0]))),
    )


def _show_eta(out: Console, scores: Sequence[Score]) -> None:
    for one in scores:
        if one.eta is not None:
            eta, long = one.eta, replayed.length
            out.print(Cell(
                f"\n{one.policy}: of {eta.told} who were told a range {eta.within:.0%} got their "
                f"slice in it, {eta.earlier:.0%} earlier, {eta.later:.0%} later; the median range "
                f"is {long(eta.width)} wide, the median error {long(eta.error)}"
            ))

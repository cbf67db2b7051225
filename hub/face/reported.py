"""Reports, runs and sweeps as pages: what the templates take, and how things are said in them.

What a notebook wrote comes into these pages as escaped text, or as a PNG or JPEG that is one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup

from hub.core import figures
from hub.core.compare import Comparison
from hub.core.figures import Figure
from hub.core.glance import Glance
from hub.core.hours import zone_of
from hub.core.pictures import Room
from hub.core.report import FAILED, Entry, Report
from hub.core.runs import Run, RunStage
from hub.core.scrub import POLICY
from hub.errors import Refusal
from hub.face import pages, reasons, words
from hub.reports import Reports

_STATIC = Path(__file__).parent / "static"
_TEMPLATES = pages.environment()
_DARK = re.compile(r':root\[data-bs-theme="dark"\] (\{[^}]*\})')
_COMPARED = 12  # notebooks that a report compares; the others have a page of their own
_PICTURE_BYTES = 10_000_000  # of one page
# in a file, which no header protects; `sandbox` counts in a header only
_SEAL = f"{POLICY}; base-uri 'none'; form-action 'none'"
SEALED = {
    "Content-Security-Policy": f"sandbox; {POLICY}", "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Shown:
    """A run on a page: the last lines of what went wrong, what differs, what there is to see.

    `problem` says why nothing is compared or seen, where that is worth saying.
    """

    entry: Entry
    lines: tuple[str, ...] = ()
    comparison: Comparison | None = None
    glance: Glance | None = None
    problem: str = ""

    @property
    def run(self) -> Run:
        """The run."""
        return self.entry.run

    @property
    def differing(self) -> list[Figure]:
        """The parameters that are not as in the run before."""
        before = self.entry.before
        return differing(before, self.run) if before else []


def differing(before: Run, after: Run) -> list[Figure]:
    """The parameters in which two runs differ."""
    found = figures.figures(after.parameters, before.parameters)
    return [x for x in found if x.value != x.before]


@dataclass(frozen=True)
class Talk:
    """How one reader is told things: in their language, in the house's time zone."""

    language: str
    zone: ZoneInfo
    now: datetime

    def word(self, stage: RunStage) -> str:
        """A stage in a word."""
        return words.say(self.language, stage.value)

    def told(self, message: str) -> str:
        """A message that is kept in English."""
        return reasons.told(message, self.language)

    def tone(self, stage: RunStage) -> str:
        """The class of a stage's mark."""
        if stage is RunStage.SUCCEEDED:
            return "free"
        if stage is RunStage.CANCELLED:
            return "draining"
        return "blocked" if stage in FAILED else "held"

    def clock(self, at: datetime | None) -> str:
        """A moment: the time, with the date where it is not today's."""
        if at is None:
            return ""
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone).date()
        return f"{local:%H:%M}" if local.date() == today else f"{local:%m-%d %H:%M}"

    def date(self, at: datetime) -> str:
        """A moment with its date."""
        return f"{at.astimezone(self.zone):%Y-%m-%d %H:%M}"

    def span(self, seconds: float | None) -> str:
        """How long."""
        if seconds is None:
            return ""
        whole = round(seconds)
        values = {"h": whole // 3600, "m": whole // 60 % 60, "s": whole % 60}
        if whole >= 3600:  # noqa: PLR2004
            return words.say(self.language, "{h} h {m} min", **values)
        if whole >= 60:  # noqa: PLR2004
            return words.say(self.language, "{m} min {s} s", **values)
        return words.say(self.language, "{s} s", **values)

    def memory(self, mib: int | None) -> str:
        """MiB, or GiB where it is much."""
        if mib is None:
            return ""
        return f"{mib} MiB" if mib < 1024 else f"{mib / 1024:.1f} GiB"  # noqa: PLR2004

    def value(self, found: float | str | None) -> str:
        """A figure's value."""
        return figures.shown(found) or "-"

    def change(self, one: Figure) -> str:
        """What has changed in a figure, like +0.02 (+3 %)."""
        if one.change is None:
            changed = one.before is not None and one.value is not None and one.value != one.before
            return words.say(self.language, "changed") if changed else ""
        if not one.change:
            return "="
        sign = "+" if one.change > 0 else "-"
        part = f" ({sign}{abs(one.part):.1%})" if one.part is not None else ""
        return f"{sign}{figures.shown(abs(one.change))}{part}"

    def place(self, run: Run) -> str:
        """The slice that a run was on, like 1g.5gb@4 · node1."""
        node, _, rest = run.slice.partition("/")
        return f"{rest.rpartition('/')[2]} · {node}" if rest else run.profile


def talk(language: str, zone: str, now: datetime) -> Talk:
    """How whoever reads this language in this zone is told things."""
    return Talk(language, zone_of(zone), now)


# ---- what is shown -------------------------------------------------------------------------------


def shown(reports: Reports, entry: Entry, language: str, who: str, *, whole: bool = True) -> Shown:
    """A run as a page shows it. `whole`: with what differs, or what there is to see."""
    run = entry.run
    made = Shown(
        replace(entry, run=reasons.said(run, language)),
        reports.lines(entry) if entry.failed else (),
    )
    if not whole:
        return made
    try:
        if entry.before is not None and run.stage is RunStage.SUCCEEDED:
            return replace(made, comparison=reports.compare(entry.before, run, who))
        return replace(made, glance=reports.glance(run, who))
    except Refusal as e:
        return replace(made, problem=words.refusal(language, e))


def all_shown(
    reports: Reports, report: Report, language: str, who: str, *, whole: bool
) -> list[Shown]:
    """The runs of a report; the newest of each notebook compared, where `whole`."""
    made, seen = [], set[tuple[str, str]]()
    for entry in report.entries:
        key = entry.run.user, entry.run.notebook
        first = whole and key not in seen and len(seen) < _COMPARED
        seen |= {key} if first and not entry.failed else set()
        made.append(shown(reports, entry, language, who, whole=first and not entry.failed))
    room = Room(_PICTURE_BYTES)
    return [_fitted(x, room) for x in made]


def _fitted(one: Shown, room: Room) -> Shown:
    """The run with as many pictures as the page still has room for."""
    compared, seen = one.comparison, one.glance
    if compared is not None:
        compared = replace(compared, cells=tuple(
            replace(x, pictures=(room.take(x.pictures[0]), room.take(x.pictures[1])))
            for x in compared.cells
        ))
    return replace(
        one, comparison=compared,
        glance=seen and replace(seen, pictures=room.take(seen.pictures)),
    )


def as_file(
    reports: Reports, report: Report, user: str | None, language: str = "", *, reader: str = ""
) -> bytes:
    """A person's report as a file of its own.

    Args:
        user: whose runs it has; None is everybody's.
        language: the house's when empty.
        reader: who is waiting for it, where that is somebody else.
    """
    settings = reports.batch.settings
    language, zone = language or settings.language, settings.timezone
    local = report.until.astimezone(zone_of(zone))
    title = f"{words.say(language, 'Morning report')} {local:%Y-%m-%d}"
    return alone(
        "report.html", language, zone, report.until, title=title, report=report, user=user,
        runs=all_shown(
            reports, report, language, reader or user or "", whole=user is not None
        ),
    ).encode()


# ---- pages ---------------------------------------------------------------------------------------


def on_page(template: str, page: pages.Page, now: datetime, **values: Any) -> str:
    """A page of the board's."""
    return _rendered(template, page.language, page.zone, now, {"page": page, **values})


def alone(template: str, language: str, zone: str, now: datetime, **values: Any) -> str:
    """A page that needs nothing else: a file."""
    css = "".join((_STATIC / x).read_text() for x in ("service.css", "report.css"))
    # the board's script chooses dark or light; here is none
    dark = "".join(f":root {x}" for x in _DARK.findall(css))
    css = f"{css}\n@media (prefers-color-scheme: dark) {{ {dark} }}"
    return _rendered(template, language, zone, now, {
        "page": None, "css": Markup(css), "seal": _SEAL, **values,  # noqa: S704 - our own files
    })


def _rendered(
    template: str, language: str, zone: str, now: datetime, values: Mapping[str, Any]
) -> str:
    return _TEMPLATES.get_template(template).render(
        _=words.speaker(language), t=talk(language, zone, now), language=language, **values
    ) + "\n"

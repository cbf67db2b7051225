"""The gauges: derived from the state at the moment of a scrape, never counted by hand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily, Metric

SLICE_STATES = (
    "free", "reserved", "held", "ending", "draining", "quarantined", "blocked", "missing", "busy",
)
LEASE_STAGES = ("waiting", "granted", "running", "draining", "quarantined")
RUN_OPEN = ("planned", "waiting", "starting", "running", "stopping")


@dataclass(frozen=True)
class Series:
    """One documented series: name as Prometheus shows it, help text, type, labels."""

    name: str
    help: str
    type: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What the gauges show: a number by its label, or by its labels in the order of `Series`.

    Hours are slice-hours; `share` and `use` are parts of a whole, 0 to 1; `quota` has only groups
    with a quota.
    """

    slices: Mapping[tuple[str, str], float] = field(default_factory=dict)
    reserved: Mapping[str, float] = field(default_factory=dict)
    fragmentation: float = 0.0
    line: Mapping[str, float] = field(default_factory=dict)
    oldest: Mapping[str, float] = field(default_factory=dict)
    leases: Mapping[str, float] = field(default_factory=dict)
    runs: Mapping[str, float] = field(default_factory=dict)
    share: Mapping[str, float] = field(default_factory=dict)
    use: Mapping[str, float] = field(default_factory=dict)
    week: Mapping[str, float] = field(default_factory=dict)
    quota: Mapping[str, float] = field(default_factory=dict)


UP = Series("madang_database_up", "Whether this scrape could read the state (1 or 0).", "gauge")
_OF: Mapping[str, Series] = {  # by the name of its fact
    "slices": Series("madang_slices", "Slices by state and profile.", "gauge",
                     ("state", "profile")),
    "reserved": Series("madang_reserved_slices",
                       "Slices that reservations promise to their groups just now, taken or not.",
                       "gauge", ("profile",)),
    "fragmentation": Series("madang_fragmentation",
                            "Part of the free capacity in sizes that nobody asks for now, 0 to 1.",
                            "gauge"),
    "line": Series("madang_line_length", "Requests that wait, by profile.", "gauge", ("profile",)),
    "oldest": Series("madang_line_oldest_seconds",
                     "Seconds for which the oldest request has waited; 0 where nobody waits.",
                     "gauge", ("profile",)),
    "leases": Series("madang_leases", "Open and live leases by stage.", "gauge", ("stage",)),
    "runs": Series("madang_runs", "Runs that have not ended, by stage.", "gauge", ("stage",)),
    "share": Series("madang_share", "A group's part of the whole by its weight, 0 to 1.", "gauge",
                    ("group",)),
    "use": Series("madang_use",
                  "A group's part of all that was used, old use counting less, 0 to 1.", "gauge",
                  ("group",)),
    "week": Series("madang_week_slice_hours", "Slice-hours that a group has used in this week.",
                   "gauge", ("group",)),
    "quota": Series("madang_week_quota_slice_hours",
                    "Slice-hours that a group may use in a week; only groups with a quota.",
                    "gauge", ("group",)),
}
DERIVED = (UP, *_OF.values())


class StateCollector:
    """Gauges out of the state at the moment of the scrape.

    Args:
        read: gives the facts; whatever it raises becomes `madang_database_up 0` and no other gauge
            (a stale number would look like a true one).
    """

    def __init__(self, read: Callable[[], Facts]) -> None:
        self._read = read

    def describe(self) -> Iterator[Metric]:
        """The families without values: registering must not read the store."""
        return (_family(s) for s in DERIVED)

    def collect(self) -> Iterator[Metric]:
        """The families with their values."""
        try:
            facts: Facts | None = self._read()
        except Exception:  # noqa: BLE001 - a scrape must answer whatever is broken
            facts = None
        yield _filled(UP, float(facts is not None))
        if facts is not None:
            yield from (_filled(series, getattr(facts, name)) for name, series in _OF.items())


def _family(series: Series) -> GaugeMetricFamily:
    return GaugeMetricFamily(series.name, series.help, labels=series.labels)


def _filled(
    series: Series, values: float | Mapping[str, float] | Mapping[tuple[str, ...], float]
) -> GaugeMetricFamily:
    family = _family(series)
    if not isinstance(values, Mapping):
        family.add_metric((), values)
        return family
    for labels, value in sorted(values.items()):
        family.add_metric((labels,) if isinstance(labels, str) else labels, value)
    return family

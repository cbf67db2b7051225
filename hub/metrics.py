"""Every Prometheus series of Madang. Gauges are derived from the state when somebody scrapes.

Counters and histograms live in prometheus_client's default registry: what the hub's process counts
(a refusal in the form, a grant to a server) appears at /hub/metrics, the rest at the service's
`metrics`. Sum over both. The gauges are made by `StateCollector`, in the service only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

# a wait for a slice is minutes to hours; the library's buckets end at ten seconds
_WAITS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_STARTS = (0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120)
_TICKS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

KINDS = ("server", "run")
SLICE_STATES = ("free", "held", "draining", "quarantined", "missing", "busy")
LEASE_STAGES = ("waiting", "granted", "running", "draining", "quarantined")
RUN_OPEN = ("waiting", "starting", "running", "stopping")
RUN_ENDS = (
    "succeeded", "failed", "cancelled", "interrupted", "timed-out", "out-of-memory",
    "kernel-died", "lost",
)
# what can be counted while hub and service run; a reason that is missing here is a red test
REASONS = (
    "bad-request", "busy", "cpu-offer", "database", "disk-full", "docker", "ended", "exited",
    "firewall", "geometry", "home", "hub", "image", "image-missing", "lease-lost", "network",
    "no-choice", "no-gpu", "no-hook", "no-room", "not-a-notebook", "not-allowed", "not-found",
    "not-logged-in", "old-docker", "options", "parameters-too-large", "path", "pin-refused",
    "profile-not-here", "roster", "slice-gone", "slice-in-use", "stop", "timeout", "too-large",
    "too-many-runs", "too-many-streams", "unavailable", "unknown-gpu", "unknown-model",
    "unknown-parameter", "unknown-profile", "waited-too-long",
)


@dataclass(frozen=True)
class Series:
    """One documented series: name as Prometheus shows it, help text, type, labels."""

    name: str
    help: str
    type: str
    labels: tuple[str, ...] = ()


def _counter(name: str, help: str, **labels: Iterable[str]) -> Counter:
    """A counter whose label values exist from the start: a rate misses what came with a new one."""
    made = Counter(name, help, tuple(labels))
    for label, values in labels.items():
        for value in values:
            made.labels(**{label: value})
    return made


REFUSALS = _counter(
    "madang_refusals", "Requests that Madang declined, by reason.", reason=REASONS
)
GRANTS = _counter("madang_grants", "Slices given to somebody, by kind.", kind=KINDS)
RUNS = _counter("madang_runs_ended", "Runs that ended, by the stage they ended in.", stage=RUN_ENDS)
TOLD = Counter("madang_operator_messages", "Things that only the operator can mend; see the log.")
UNKNOWN = _counter(
    "madang_unknown_answers", "Looks at the machine that gave no usable answer, by what was asked.",
    source=("gpu", "docker"),
)
WAIT = Histogram(
    "madang_wait_seconds", "Seconds between asking for a slice and being given one.", ("kind",),
    buckets=_WAITS,
)
START = Histogram(
    "madang_start_seconds",
    "Seconds of one start: a server's until it answered, a run's until it ran.",
    ("kind",), buckets=_STARTS,
)
TICK = Histogram(
    "madang_tick_seconds", "Seconds that one tick took, failed ones too.", buckets=_TICKS
)
TICKS = Counter("madang_ticks", "Ticks begun.")
TICK_FAILURES = _counter(
    "madang_tick_failures", "Ticks in which an error ended a part, by the part.",
    part=("leases", "runs", "resume"),
)
LAST_TICK = Gauge(
    "madang_last_tick_timestamp_seconds", "When the last whole tick ended, Unix time; 0 for never."
)
STREAMS = Gauge("madang_streams", "Live event streams that are open now.")
for _kind in KINDS:
    WAIT.labels(_kind)
    START.labels(_kind)

_MADE = (
    REFUSALS, GRANTS, RUNS, TOLD, UNKNOWN, WAIT, START, TICK, TICKS, TICK_FAILURES, LAST_TICK,
    STREAMS,
)
_DERIVED = (
    Series("madang_database_up", "Whether this scrape could read the state (1 or 0).", "gauge"),
    Series("madang_slices", "Slices by state and profile.", "gauge", ("state", "profile")),
    Series("madang_line_length", "Requests that wait, by profile.", "gauge", ("profile",)),
    Series("madang_leases", "Open and live leases by stage.", "gauge", ("stage",)),
    Series("madang_runs", "Runs that have not ended, by stage.", "gauge", ("stage",)),
)


def _described(metric: Counter | Gauge | Histogram) -> Series:
    family = next(iter(metric.describe()))
    # a counter's family has no suffix, what one writes in a query has
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = tuple(metric._labelnames)  # noqa: SLF001 - the library has no public way
    return Series(name, family.documentation, family.type, labels)


ALL: tuple[Series, ...] = (*(_described(m) for m in _MADE), *_DERIVED)


@dataclass(frozen=True)
class Facts:
    """What the gauges are derived from: counts by (state, profile), profile, stage, stage."""

    slices: Mapping[tuple[str, str], int] = field(default_factory=dict)
    line: Mapping[str, int] = field(default_factory=dict)
    leases: Mapping[str, int] = field(default_factory=dict)
    runs: Mapping[str, int] = field(default_factory=dict)


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
        return (_family(s) for s in _DERIVED)

    def collect(self) -> Iterator[Metric]:
        """The families with their values."""
        try:
            facts: Facts | None = self._read()
        except Exception:  # noqa: BLE001 - a scrape must answer whatever is broken
            facts = None
        up, slices, line, leases, runs = (_family(s) for s in _DERIVED)
        up.add_metric((), float(facts is not None))
        yield up
        if facts is None:
            return
        _fill(slices, facts.slices)
        _fill(line, {(k,): v for k, v in facts.line.items()})
        _fill(leases, {(x,): facts.leases.get(x, 0) for x in LEASE_STAGES})
        _fill(runs, {(x,): facts.runs.get(x, 0) for x in RUN_OPEN})
        yield from (slices, line, leases, runs)


def _family(series: Series) -> GaugeMetricFamily:
    return GaugeMetricFamily(series.name, series.help, labels=series.labels)


def _fill(family: GaugeMetricFamily, values: Mapping[Any, int]) -> None:
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)


def exposition(registry: CollectorRegistry = REGISTRY) -> tuple[bytes, str]:
    """(text of a scrape, its content type)."""
    return generate_latest(registry), CONTENT_TYPE_LATEST


# ---- what the floor and the face count ----------------------------------------------------------


class _State(Protocol):
    """What is read of `core.nouns.State`; named here so that nothing of the hub is imported."""

    @property
    def leases(self) -> Mapping[str, Any]: ...


def refused(reason: str) -> None:
    """Count a refusal. Reasons come from our own code, never from what somebody sent."""
    REFUSALS.labels(reason).inc()


def granted(before: _State, after: _State) -> None:
    """Count the grants that lie between two states, and how long each had waited."""
    for id, lease in after.leases.items():
        known = before.leases.get(id)
        if lease.granted_at is None or (known is not None and known.granted_at is not None):
            continue
        kind = str(lease.request.kind)
        GRANTS.labels(kind).inc()
        WAIT.labels(kind).observe((lease.granted_at - lease.request.asked_at).total_seconds())


def run_done(run: Any) -> None:
    """Count a run that has ended."""
    RUNS.labels(str(run.stage)).inc()

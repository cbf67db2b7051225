"""Every Prometheus series of Madang: what is counted stands here, the gauges in `hub.gauges`.

Counters and histograms live in prometheus_client's default registry: what the hub's process counts
(a refusal in the form, a grant to a server) appears at /hub/metrics, the rest at the service's
`metrics`. Sum over both. The gauges are made by `gauges.StateCollector`, in the service only. No
series has a person's name: who used what is in the store, and there for those who may see it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from hub.gauges import DERIVED, Series

# a wait for a slice is minutes to hours; the library's buckets end at ten seconds
_WAITS = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_HOLDS = (60, 300, 600, 1200, 1800, 2700, 3600, 5400, 7200, 14400, 28800, 43200, 86400)
_LATE = (60, 300, 900, 1800, 3600, 7200, 14400, 28800)
_ERRORS = (*(-x for x in reversed(_LATE)), 0, *_LATE)
_STARTS = (0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120)
_HANDOUTS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_TICKS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

KINDS = ("server", "run")
WHYS = ("waiting", "idle", "reserved", "limit", "preempted", "hand")
# core.courses.Fate
FATES = (
    "new", "updated", "kept", "merged", "beside", "removed", "removed-kept", "odd", "waiting",
)
NO_GROUP = "-"  # no group can be called so; an empty label would be none at all
RUN_ENDS = (
    "succeeded", "failed", "cancelled", "interrupted", "timed-out", "out-of-memory",
    "kernel-died", "lost",
)
# what can be counted while hub and service run; a reason that is missing here is a red test
REASONS = (
    "after", "at", "at-limit", "bad-request", "busy", "collection", "course", "course-file",
    "course-name", "course-open", "course-undo", "cpu-offer", "database", "disk-full", "docker",
    "duplicate-ids", "ended", "exited", "feedback", "firewall", "geometry", "git", "group",
    "group-ended", "home", "hub", "idempotency-key", "image", "image-missing", "lease-lost",
    "network", "no-choice", "no-gpu", "no-hook",
    "no-new-version", "no-reason", "no-room", "not-a-notebook", "not-allowed", "not-found",
    "not-held", "not-logged-in", "notify", "old-docker", "options", "parameters-too-large", "path",
    "pin-refused", "profile-not-here", "published", "quota", "reservation", "reservation-conflict",
    "reserved", "retries", "roster", "schedule", "schedules-file", "secret", "slice-gone",
    "slice-in-use", "snapshot", "somebody-waits", "stop", "sweep", "timeout", "too-large",
    "too-many-runs", "too-many-streams", "unavailable", "unknown-gpu", "unknown-model",
    "unknown-parameter", "unknown-profile", "waited-too-long",
)


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
GRANTS = Counter(
    "madang_grants", "Slices given to somebody, in whose name, and whether by a reservation.",
    ("group", "kind", "reserved"),
)
RUNS = _counter("madang_runs_ended", "Runs that ended, by the stage they ended in.", stage=RUN_ENDS)
OCCURRENCES = _counter(
    "madang_occurrences", "Slots of schedules that had their turn, by what became of them.",
    outcome=("run", "skipped", "missed", "refused"),
)
NOTIFICATIONS = Counter(
    "madang_notifications",
    "Tries to tell somebody that a run has ended, by the kind of place and what became of it.",
    ("kind", "outcome"),
)
for _kind in ("webhook", "mail", "ntfy"):
    for _outcome in ("sent", "retried", "dropped"):
        NOTIFICATIONS.labels(_kind, _outcome)
COURSE_PUSHES = _counter(
    "madang_course_pushes", "Courses that were pushed or published, by what became of them.",
    outcome=("published", "draft", "refused"),
)
COURSE_HANDOUTS = _counter(
    "madang_course_handouts", "Files of courses handed to students, by what became of them.",
    fate=FATES,
)
COURSE_CONFLICTS = Counter(
    "madang_course_conflicts",
    "Cells and files of which a student's and the instructor's version stand side by side.",
)
COURSE_HANDOUT_SECONDS = Histogram(
    "madang_course_handout_seconds", "Seconds of one handout of a release to one student.",
    buckets=_HANDOUTS,
)
COLLECTED = _counter(
    "madang_course_collected", "Students of whom something was collected, by what came of it.",
    outcome=("taken", "problem"),
)
TOLD = Counter("madang_operator_messages", "Things that only the operator can mend; see the log.")
UNKNOWN = _counter(
    "madang_unknown_answers", "Looks at the machine that gave no usable answer, by what was asked.",
    source=("gpu", "docker"),
)
WAIT = Histogram(
    "madang_wait_seconds", "Seconds between asking for a slice and being given one.",
    ("group", "kind"), buckets=_WAITS,
)
HELD = Histogram(
    "madang_held_seconds", "Seconds for which a slice was held, from its grant until it was left.",
    ("kind",), buckets=_HOLDS,
)
NOTICES = _counter(
    "madang_notices", "Holders told to give back, by why; a second notice that ends sooner too.",
    why=WHYS,
)
RECLAIMS = _counter(
    "madang_reclaims", "Leases that a rule or a person ended from outside, by why.", why=WHYS
)
EXTENSIONS = Counter("madang_extensions", "Times that a holder was promised more time.")
ETA = _counter(
    "madang_eta", "Grants to those who were told a range at first, by whether they came in it.",
    outcome=("early", "within", "late"),
)
ETA_ERROR = Histogram(
    "madang_eta_error_seconds",
    "Seconds by which a grant came after the middle of the range told at first; negative: before.",
    buckets=_ERRORS,
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
    part=("leases", "schedules-file", "schedules", "courses", "handouts", "runs", "resume"),
)
LAST_TICK = Gauge(
    "madang_last_tick_timestamp_seconds", "When the last whole tick ended, Unix time; 0 for never."
)
STREAMS = Gauge("madang_streams", "Live event streams that are open now.")
for _kind in KINDS:
    HELD.labels(_kind)
    START.labels(_kind)

_MADE = (
    REFUSALS, GRANTS, WAIT, HELD, ETA, ETA_ERROR, NOTICES, EXTENSIONS, RECLAIMS, RUNS,
    OCCURRENCES, NOTIFICATIONS, COURSE_PUSHES, COURSE_HANDOUTS, COURSE_CONFLICTS,
    COURSE_HANDOUT_SECONDS, COLLECTED, TOLD, UNKNOWN, START, TICK, TICKS, TICK_FAILURES, LAST_TICK,
    STREAMS,
)


def _described(metric: Counter | Gauge | Histogram) -> Series:
    family = next(iter(metric.describe()))
    # a counter's family has no suffix, what one writes in a query has
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = tuple(metric._labelnames)  # noqa: SLF001 - the library has no public way
    return Series(name, family.documentation, family.type, labels)


ALL: tuple[Series, ...] = (*(_described(m) for m in _MADE), *DERIVED)


def expect(groups: Iterable[str]) -> None:
    """Make the series of these groups before anything is counted: a rate misses a first one."""
    for group in groups:
        for kind in KINDS:
            WAIT.labels(group, kind)
            for reserved in ("yes", "no"):
                GRANTS.labels(group, kind, reserved)


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


def moved(before: _State, after: _State) -> None:
    """Count what lies between two states, the one made from the other by steps.

    A lease that no step touched is the same object in both.
    """
    old = before.leases
    if old is after.leases:
        return
    touched = [(old.get(id), x) for id, x in after.leases.items() if old.get(id) is not x]
    for was, now in touched:
        if now.granted_at and not (was and was.granted_at):
            _granted(now)
        elif was and was.promised and now.promised > was.promised:
            EXTENSIONS.inc()
        if now.notice and not (was and was.notice == now.notice):
            NOTICES.labels(str(now.notice.why)).inc()
        if now.draining_at and not (was and was.draining_at):
            _left(now)


def _granted(lease: Any) -> None:
    request, at = lease.request, lease.granted_at
    group, kind = request.group or NO_GROUP, str(request.kind)
    GRANTS.labels(group, kind, "yes" if lease.reservation else "no").inc()
    if not lease.again:  # a later attempt asks with the age of the first, which has run meanwhile
        WAIT.labels(group, kind).observe((at - request.asked_at).total_seconds())
    if lease.eta is None:
        return
    earliest, latest = lease.eta
    ETA.labels("early" if at < earliest else "late" if at > latest else "within").inc()
    ETA_ERROR.observe((at - earliest - (latest - earliest) / 2).total_seconds())


def _left(lease: Any) -> None:
    seconds = (lease.draining_at - lease.granted_at).total_seconds()
    HELD.labels(str(lease.request.kind)).observe(seconds)
    if lease.why:
        RECLAIMS.labels(str(lease.why)).inc()


def run_done(run: Any) -> None:
    """Count a run that has ended."""
    RUNS.labels(str(run.stage)).inc()

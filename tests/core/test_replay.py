"""The replay: conservation, the peers by hand, and what must come out whatever the trace."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from hub.core.lease import check
from hub.core.nouns import Kind, State
from hub.core.replay import contest, scores, traces
from hub.core.replay.jobs import CARDS, DAY, HOUR, Job, Trace, slices_of
from hub.core.replay.ours import Ours
from hub.core.replay.peers import Peer, first_come, servers_first, split
from hub.core.replay.play import AGAIN, CLEAN, Hold, of_jobs, play
from hub.core.rules import Group, House, Reservation, Rules, Span

ONE = slices_of(["A100-40:7g.40gb"])
TWO = slices_of(["A100-40:3g.20gb,3g.20gb"])
LAB = slices_of(CARDS)
EVEN = {"a": 1.0, "b": 1.0, "c": 1.0}
OPENB = "\n".join([
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,"
    "deletion_time,scheduled_time",
    *(f"p{i},1,1,1,460,,{'BE' if i % 3 else 'LS'},Running,{i * 977},{i * 977 + 600 + i % 7 * 900},"
      f"{i * 977}" for i in range(400)),
])


def job(  # noqa: PLR0913 - each says what it is, by its name
    id: str, at: float, work: float, *, user: str = "", group: str = "a", tail: float = 0,
    kind: Kind = Kind.SERVER, profile: str = "7g.40gb", patience: float = math.inf,
) -> Job:
    return Job(id, user or id, group, kind, profile, at, work, tail, patience)


def by_id(holds: Sequence[Hold]) -> dict[str, Hold]:
    return {x.ask.id: x for x in holds}


def house(weights: dict[str, float] | None = None, **rules: timedelta) -> House:
    return House(Rules(**rules), {k: Group(k, x) for k, x in (weights or EVEN).items()})


def crowd(
    weights: dict[str, float], days: int = 20, people: int = 4, patience: float = DAY
) -> Trace:
    """More than there is room for, from every group, day and night, on one slice."""
    jobs = [
        job(f"{g}{p}-{n}", n * 2.2 * HOUR + p, 2 * HOUR, user=f"{g}{p}", group=g, patience=patience)
        for g in weights for p in range(people) for n in range(int(days * 24 / 2.2))
    ]
    return Trace("crowd", tuple(sorted(jobs, key=lambda x: (x.asked_at, x.id))), days * DAY)


# ---- the peers -----------------------------------------------------------------------------------


def test_first_come_on_one_slice_by_hand() -> None:
    jobs = [job("a", 0, 100, tail=50), job("b", 10, 30), job("c", 5, 20), job("d", 500, 10)]
    holds = by_id(play(jobs, Peer(ONE)))
    c = 150 + CLEAN
    b = c + 20 + CLEAN
    assert {k: x.granted_at for k, x in holds.items()} == {"a": 0, "c": c, "b": b, "d": 500}
    assert {k: x.worked for k, x in holds.items()} == {"a": 100, "c": 20, "b": 30, "d": 10}
    assert {k: x.ended_at for k, x in holds.items()} == {
        "a": 150, "c": c + 20, "b": b + 30, "d": 510
    }


def test_who_has_no_patience_left_goes() -> None:
    jobs = [job("a", 0, 1000), job("b", 1, 10, patience=500), job("c", 2, 10)]
    holds = by_id(play(jobs, Peer(ONE)))
    assert (holds["b"].granted_at, holds["b"].ended_at) == (None, 501)
    assert holds["c"].granted_at == 1000 + CLEAN


def test_servers_first_and_runs_by_age() -> None:
    jobs = [job("a", 0, 100), job("r", 1, 10, kind=Kind.RUN), job("q", 2, 10, kind=Kind.RUN),
            job("b", 50, 10)]
    holds = by_id(play(jobs, Peer(ONE, servers_first)))
    assert sorted(holds, key=lambda x: holds[x].granted_at or 0) == ["a", "b", "r", "q"]


def test_a_split_by_weight_keeps_each_to_its_own() -> None:
    owners = split(LAB, {"a": 2.0, "b": 1.0, "c": 1.0})
    hours = {g: sum(s.rate for s in LAB if owners[s.key] == g) for g in "abc"}
    assert hours["a"] == pytest.approx(2 * hours["b"], abs=1.5)
    assert hours["b"] == pytest.approx(hours["c"], abs=1.0)
    jobs = [job("x", 0, 100, group="a", profile="3g.20gb"),
            job("y", 1, 100, group="a", profile="3g.20gb"),
            job("z", 2, 100, group="b", profile="3g.20gb")]
    holds = by_id(play(jobs, Peer(TWO, first_come, split(TWO, {"a": 1.0, "b": 1.0}))))
    assert [holds[x].granted_at for x in "xyz"] == [0, 100 + CLEAN, 2]


def test_a_group_without_a_size_takes_what_it_has() -> None:
    slices = slices_of(["A100-40:3g.20gb,2g.10gb,1g.5gb,1g.5gb"])
    owners = split(slices, {"a": 1.0, "b": 1.0})
    assert {s.key.profile for s in slices if owners[s.key] == "b"} == {"2g.10gb", "1g.5gb"}
    jobs = [job("x", 0, 100, group="b", profile="3g.20gb")]
    holds = by_id(play(jobs, Peer(slices, first_come, owners)))
    assert (holds["x"].granted_at, holds["x"].rate) == (0, 2.0)


# ---- ours ----------------------------------------------------------------------------------------


def test_every_step_keeps_the_law() -> None:
    checked = 0

    def law(state: State) -> None:
        nonlocal checked
        checked += 1
        check(state)

    plan = traces.Plan(people=8, days=1, load=1.3, weights=EVEN)
    trace = traces.trace_of(OPENB, LAB, plan)
    holds = play(trace.jobs, Ours(LAB, house(), check=law))
    assert checked > len(trace.jobs)
    by_job = of_jobs(holds)
    assert set(by_job) == {x.id for x in trace.jobs}
    for one in trace.jobs:
        done = sum(x.worked for x in by_job[one.id])
        gave_up = by_job[one.id][-1].granted_at is None
        assert done == pytest.approx(one.work) or (gave_up and done < one.work)


def test_no_slice_is_held_twice() -> None:
    trace = traces.trace_of(OPENB, LAB, traces.Plan(people=8, days=1, load=1.3))
    for policy in (Ours(LAB, house(), tell=False), Peer(LAB), Peer(LAB, servers_first)):
        holds = play(trace.jobs, policy)
        for profile in {s.key.profile for s in LAB}:
            moves = sorted(
                (at, by) for x in holds
                if x.granted_at is not None and x.ask.job.profile == profile
                for at, by in ((x.granted_at, 1), ((x.ended_at or math.inf) + CLEAN, -1))
            )
            held = most = 0
            for _, by in moves:
                held += by
                most = max(most, held)
            assert most <= sum(s.key.profile == profile for s in LAB)


def test_alone_ours_is_first_come() -> None:
    jobs = [job("a", 0, 100, tail=50), job("b", 1000, 30), job("c", 2000, 20)]
    ours, theirs = play(jobs, Ours(ONE, house())), play(jobs, Peer(ONE))
    times = [[(x.granted_at, x.ended_at) for x in found] for found in (ours, theirs)]
    assert times[0] == times[1]


def test_who_is_asked_back_asks_again_for_the_rest() -> None:
    jobs = [job("a", 0, 3 * HOUR), job("b", 600, HOUR, group="b")]
    holds = by_id(play(jobs, Ours(ONE, house())))
    assert (holds["a"].cut, holds["a"].ended_at) == (True, 75 * 60)
    assert holds["b"].granted_at == 75 * 60 + CLEAN
    again = holds["a~2"]
    assert again.ask.asked_at == 75 * 60 + AGAIN
    assert holds["a"].worked + again.worked == 3 * HOUR


def test_who_has_forgotten_to_close_is_asked_back() -> None:
    jobs = [job("a", 0, 600, tail=9 * HOUR), job("b", 900, 60)]
    holds = by_id(play(jobs, Ours(ONE, house())))
    # idle for half an hour at 40 minutes, and a quarter to answer
    assert holds["b"].granted_at == 55 * 60 + CLEAN
    assert not holds["a"].cut


def test_a_run_gives_way_and_keeps_its_age() -> None:
    jobs = [job("r", 0, 2 * HOUR, kind=Kind.RUN), job("b", 30 * 60, 60)]
    holds = by_id(play(jobs, Ours(ONE, house())))
    assert holds["b"].granted_at == 30 * 60 + CLEAN
    assert (holds["r~2"].ask.since, holds["r~2"].ask.left) == (0, 90 * 60)


def test_reserved_hours_are_kept_in_a_replay() -> None:
    when = Span(*(
        (contest.BEGIN + timedelta(hours=x)).replace(tzinfo=None) for x in (2, 4)
    ))
    made = Reservation("r", "b", "7g.40gb", 1, when, "UTC")
    jobs = [job("a", 0, 5 * HOUR), job("s", 2 * HOUR, HOUR, group="b")]
    holds = by_id(play(jobs, Ours(ONE, replace(house(), reservations={"r": made}))))
    assert holds["a"].ended_at == 110 * 60  # ten minutes before
    assert holds["s"].granted_at == 2 * HOUR


def test_the_same_seed_is_the_same_replay() -> None:
    plan = traces.Plan(people=8, days=1, load=1.2)
    trace = traces.trace_of(OPENB, LAB, plan)
    lab = contest.Lab(contest.OURS, LAB, contest.house_of(house(), plan.weights))
    first = list(contest.contest(trace, lab))
    assert first == list(contest.contest(traces.trace_of(OPENB, LAB, plan), lab))
    other = traces.trace_of(OPENB, LAB, replace(plan, seed=2))
    assert other.jobs != trace.jobs
    assert [x.policy for x in first] == [
        contest.OURS, contest.FIRST, contest.STATIC, contest.PRIORITY
    ]


@pytest.mark.parametrize("weights", [EVEN, {"a": 5.0, "b": 3.0, "c": 1.0}])
def test_use_comes_to_the_weights(weights: dict[str, float]) -> None:
    # twelve people want eleven times what there is: with patience on, all would be served by age
    ours = Ours(ONE, house(weights, patience=timedelta(days=60)), tell=False)
    used = dict.fromkeys(weights, 0.0)
    for hold in play(crowd(weights).jobs, ours):
        if hold.granted_at is not None and hold.granted_at < 20 * DAY:
            used[hold.ask.job.group] += hold.worked
    for group, weight in weights.items():
        fair = weight / sum(weights.values())
        assert used[group] / sum(used.values()) == pytest.approx(fair, abs=0.06), used


def test_patience_bounds_the_wait_of_the_lightest() -> None:
    heavy = {"a": 100.0}
    jobs = [*crowd(heavy, days=4, people=2, patience=2 * HOUR).jobs]
    # b has used its part of some weeks already, and asks once more
    jobs += [job("b-1", HOUR, 9 * HOUR, user="b", group="b"),
             job("b-2", DAY, HOUR, user="b", group="b")]
    weights = {**heavy, "b": 0.001}
    waits = []
    for patience in (timedelta(hours=4), timedelta(days=60)):
        ours = Ours(ONE, house(weights, patience=patience), tell=False)
        granted = by_id(play(jobs, ours))["b-2"].granted_at
        waits.append(math.inf if granted is None else granted - DAY)
    rules = Rules()
    longest = rules.patience + rules.max_hold + rules.notice
    assert waits[0] <= longest.total_seconds() < waits[1], waits


def test_with_a_greedy_one_ours_is_fairer_than_first_come() -> None:
    plan = traces.Plan(people=8, days=1, load=1.4)
    trace = traces.trace_of(OPENB, LAB, plan)
    assert {x.user for x in trace.jobs} > {traces.GREEDY}
    lab = contest.Lab(contest.OURS, LAB, contest.house_of(house(), plan.weights))
    found = {x.policy: x for x in contest.contest(trace, lab)}
    ours, first = found[contest.OURS], found[contest.FIRST]
    assert ours.jain_people >= first.jain_people
    assert ours.active > first.active
    assert ours.served >= first.served
    assert ours.servers.p50 <= first.servers.p50


# ---- figures -------------------------------------------------------------------------------------


def test_jains_index() -> None:
    assert scores.jain([2.0, 2.0, 2.0]) == pytest.approx(1.0)
    assert scores.jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert scores.jain([]) == 1.0


def test_what_one_leaves_is_the_others() -> None:
    assert scores.fair(9, {"a": 1, "b": 10, "c": 10}, {}) == {"a": 1, "b": 4, "c": 4}
    assert scores.fair(9, {"a": 10, "b": 10}, {"a": 2.0}) == {"a": 6, "b": 3}
    assert scores.fair(9, {"a": 1, "b": 2}, {}) == {"a": 1, "b": 2}
    assert scores.fair(9, {"a": 0.0}, {}) == {"a": 0}


def test_quantiles_are_of_those_that_were() -> None:
    assert scores.quantile([1, 2, 3, 4], 0.5) == 2
    assert scores.quantile(list(range(1, 101)), 0.95) == 95
    assert scores.quantile([], 0.5) == 0.0
    assert len(scores.curve([5.0])) == 101


def test_a_wait_is_all_the_waiting_of_a_job() -> None:
    jobs = (job("a", 0, 3 * HOUR), job("b", 600, HOUR, group="b"))
    trace = Trace("t", jobs, DAY)
    holds = play(jobs, Ours(ONE, house()))
    found = scores.score("ours", trace, holds, {"7g.40gb": 7.0}, EVEN, 24 * 7)
    waited = {x.name: x.waits.p50 for x in found.people}
    assert waited["b"] == 65 * 60 + CLEAN
    # cut at 75 minutes, back a minute later, and b works for an hour
    assert waited["a"] == HOUR + CLEAN + CLEAN - AGAIN
    assert found.served == pytest.approx(4 * 7)
    assert found.active == pytest.approx(1.0)
    assert (found.asked_back, found.gave_up) == (1, 0)

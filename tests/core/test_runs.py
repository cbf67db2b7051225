from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.notebook import Parameter, check_notebook, check_parameters, parameters_of
from hub.core.nouns import Kind, Lease, Request, Stage, Why
from hub.core.runs import (
    DONE,
    EXITS,
    RunStage,
    Submission,
    again,
    cancelled,
    ended,
    gives_way,
    message_of,
    new_run,
    outcome,
    running,
    starting,
    vanished,
)
from hub.core.told import progress_of
from hub.errors import BadInput

NOW = datetime(2026, 3, 2, 22, tzinfo=UTC)
S = RunStage


def cell(source: Any, *tags: str, **rest: Any) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source, **rest}


def notebook(*cells: Any, **rest: Any) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **rest}


@pytest.mark.parametrize(("code", "oom", "stopping", "stage"), [
    (0, False, False, S.SUCCEEDED),
    (1, False, False, S.FAILED),
    (2, False, False, S.FAILED),
    (75, False, False, S.INTERRUPTED),
    (124, False, False, S.TIMED_OUT),
    (138, False, False, S.KERNEL_DIED),
    (137, True, False, S.OUT_OF_MEMORY),
    (137, False, False, S.LOST),
    (143, False, False, S.LOST),
    (138, True, False, S.OUT_OF_MEMORY),
    (99, False, False, S.FAILED),
    (-1, False, False, S.FAILED),
    # a cancel beats everything but a success that was quicker
    (75, False, True, S.CANCELLED),
    (137, False, True, S.CANCELLED),
    (137, True, True, S.CANCELLED),
    (1, False, True, S.CANCELLED),
    (0, False, True, S.SUCCEEDED),
    # a killed child of a notebook that went well
    (0, True, False, S.SUCCEEDED),
])
def test_what_the_end_of_a_container_means(
    *, code: int, oom: bool, stopping: bool, stage: RunStage
) -> None:
    assert outcome(code, oom=oom, stopping=stopping) is stage


@given(code=st.integers(-10, 300), oom=st.booleans(), stopping=st.booleans())
def test_every_end_is_an_end(*, code: int, oom: bool, stopping: bool) -> None:
    assert outcome(code, oom=oom, stopping=stopping) in DONE
    assert set(EXITS.values()) < DONE


def test_parameters_are_what_the_tagged_cell_sets() -> None:
    source = [
        "# how long\n", "epochs = 3\n", "lr: float = 1e-3\n", "name = 'a b'\n", "if True:\n",
        "    hidden = 1\n", "declared: int\n", "a, b = 1, 2\n", "print(epochs)\n",
    ]
    assert parameters_of(notebook(cell("x = 1"), cell(source, "parameters"))) == (
        Parameter("epochs", "3"), Parameter("lr", "0.001", "float"), Parameter("name", "'a b'"),
    )
    text = "".join(source)
    assert len(parameters_of(notebook(cell(text, "parameters")))) == 3


@pytest.mark.parametrize("book", [
    notebook(),
    notebook(cell("epochs = 3")),
    notebook(cell(None, "parameters")),
    notebook(cell(7, "parameters")),
    notebook(cell([None, 3], "parameters")),
    notebook({"cell_type": "code", "metadata": {"tags": None}, "source": "x = 1"}),
    notebook({"cell_type": "code", "metadata": {"tags": "parameters"}, "source": "x = 1"}),
    notebook({"cell_type": "code", "metadata": {"tags": 3}, "source": "x = 1"}),
    notebook({"cell_type": "code", "source": "x = 1"}),
    {"nbformat": 4},
])
def test_whatever_else_a_notebook_holds_declares_nothing(book: dict[str, Any]) -> None:
    assert parameters_of(book) == ()


def test_only_the_first_tagged_cell_counts() -> None:
    book = notebook(cell("a = 1", "x", "parameters"), cell("b = 2", "parameters"))
    assert [x.name for x in parameters_of(book)] == ["a"]


@pytest.mark.parametrize("book", [
    notebook(cell("epochs = (", "parameters")),
    notebook(cell("epochs <- 3", "parameters")) | {"metadata": {"kernelspec": {"language": "R"}}},
    notebook(cell("x=1\n" * 10_000, "parameters")),
    notebook(cell("-" * 12_000 + "1", "parameters")),
    notebook(cell("a" + ".a" * 8_000, "parameters")),
])
def test_what_cannot_be_told_is_left_to_the_runner(book: dict[str, Any]) -> None:
    assert parameters_of(book) is None
    check_parameters(book, {"anything": 1})


def test_lines_of_magic_hide_no_parameter() -> None:
    book = notebook(cell("%matplotlib inline\n!ls\na = b = 3", "parameters"))
    assert [x.name for x in parameters_of(book) or ()] == ["a", "b"]


def test_parameters_are_small() -> None:
    book = notebook(cell("text = ''", "parameters"))
    with pytest.raises(BadInput, match="larger data into a file"):
        check_parameters(book, {"text": "x" * 70_000})


def test_a_printed_number_is_never_too_large_to_keep() -> None:
    text = f"madang: cell 2/3\nmadang: cell {'9' * 5000}/3\nmadang: cell {10**23}/3\n"
    assert progress_of(text) == (2, 3, "")


def test_a_run_that_we_stopped_for_its_time_timed_out() -> None:
    assert outcome(75, oom=False, stopping=False, overdue=True) is S.TIMED_OUT
    assert outcome(137, oom=False, stopping=False, overdue=True) is S.TIMED_OUT
    assert outcome(0, oom=False, stopping=False, overdue=True) is S.SUCCEEDED


def test_unknown_parameters_are_refused_with_what_is_known() -> None:
    book = notebook(cell("epochs = 3\nlr = 1", "parameters"))
    check_parameters(book, {"epochs": 5})
    check_parameters(book, {})
    with pytest.raises(BadInput, match=r"parameter epoch, seed\. It knows: epochs, lr\."):
        check_parameters(book, {"seed": 1, "epoch": 5, "lr": 2})
    check_parameters(notebook(), {})
    with pytest.raises(BadInput, match="no cell tagged") as caught:
        check_parameters(notebook(), {"epochs": 5})
    assert caught.value.reason == "unknown-parameter"


@pytest.mark.parametrize("bad", [
    None, [], "text", 3, {}, {"cells": {}}, {"cells": None, "nbformat": 4},
    {"cells": [], "nbformat": 3}, {"cells": []}, notebook("x"), notebook({"metadata": None}),
    notebook({"metadata": []}),
])
def test_what_is_no_notebook_is_refused(bad: Any) -> None:
    with pytest.raises(BadInput, match=r"n\.ipynb is") as caught:
        check_notebook(bad, "n.ipynb")
    assert caught.value.reason == "not-a-notebook"


def test_a_notebook_without_cells_is_a_notebook() -> None:
    check_notebook(notebook(), "n.ipynb")


def submit(**rest: Any) -> Submission:
    fields = {
        "user": "kim", "name": "실험 1/밤 run (2).ipynb", "parameters": {}, "profile": "1g.5gb",
        "notebook": notebook(cell("seed = 1\nx = 2", "parameters")),
    }
    return Submission(**{**fields, **rest})


def made(**rest: Any) -> Any:
    return new_run(submit(**rest), id="ab12", now=NOW, image="default", limit=3600)


def test_a_run_is_made_of_a_submission() -> None:
    run = made(parameters={"seed": 7}, cwd="./work/x/")
    assert (run.stage, run.image, run.timeout, run.seed) == (S.WAITING, "default", 3600, 7)
    assert run.folder == "runs/2026-03-02-밤-run-2-ab12"
    assert run.cwd == "work/x"
    assert not run.done
    assert made(image="other", timeout=60).image == "other"
    assert made(timeout=60).timeout == 60


@pytest.mark.parametrize("name", ["", ".ipynb", "../..", "/", "...", "a" * 300, "\0", "$(x).ipynb"])
def test_a_folder_of_a_run_is_one_plain_folder(name: str) -> None:
    folder = made(name=name).folder
    runs, _, last = folder.partition("/")
    assert runs == "runs"
    assert "/" not in last
    assert last.isprintable()
    assert not set(last) & set("$() '\"")
    assert len(last) < 80


@pytest.mark.parametrize("cwd", ["/etc", "..", "a/../../b", "a/.."])
def test_a_folder_outside_the_home_is_refused(cwd: str) -> None:
    with pytest.raises(BadInput, match="not inside the home"):
        made(cwd=cwd)


@pytest.mark.parametrize("timeout", [-1, 3601])
def test_a_time_out_out_of_range_is_refused(timeout: int) -> None:
    with pytest.raises(BadInput, match="up to 3600 seconds"):
        made(timeout=timeout)


@pytest.mark.parametrize(("metadata", "commit"), [
    ({"madang": {"commit": "abc"}}, "abc"), ({}, ""), ({"madang": None}, ""),
    ({"madang": {"commit": 3}}, ""), (None, ""), ([], ""),
])
def test_the_commit_is_taken_where_there_is_one(metadata: Any, commit: str) -> None:
    assert made(notebook=notebook(metadata=metadata)).commit == commit


def test_only_a_number_is_a_seed() -> None:
    assert [made(parameters={"seed": x}).seed for x in (0, True, "1", None, 1.5)] == [
        0, None, None, None, None
    ]


def test_the_log_shows_how_far_a_run_is() -> None:
    log = "madang: cell 1/3\nloss 0.3\nmadang: cell 2/3\nsaying madang: cell 9/9 in the middle\n"
    assert progress_of(log) == (2, 3, "")
    assert progress_of(log + "madang: failed ZeroDivisionError in cell 2\n") == (
        2, 3, "ZeroDivisionError in cell 2"
    )
    assert progress_of("") == (0, 0, "")


def test_the_one_line_for_people() -> None:
    assert message_of(S.FAILED, "said", "before") == "said"
    assert message_of(S.CANCELLED, "said", "by kim") == "by kim"
    assert message_of(S.CANCELLED, "said", "") == "said"
    assert "memory" in message_of(S.OUT_OF_MEMORY, "said", "")
    assert "outside" in message_of(S.LOST, "said", "")


# ---- attempts -----------------------------------------------------------------------------------


def lease(**rest: Any) -> Lease:
    asked = Request("ab12", "kim", Kind.RUN, "ab12", "1g.5gb", "i", NOW)
    return Lease(asked, **{"stage": Stage.DRAINING, "cause": "needed elsewhere", **rest})


PREEMPTED, BY_HAND = lease(why=Why.PREEMPTED), lease(why=Why.HAND, cause="ended by op")


def test_each_attempt_has_a_lease_of_its_own() -> None:
    run = made()
    assert (run.attempt, run.lease_id, run.former_lease) == (1, "ab12", "")
    second = again(replace(run, stage=S.RUNNING, started_at=NOW, cells=9, cells_done=4), "why")
    assert (second.attempt, second.lease_id, second.former_lease) == (2, "ab12-2", "ab12")
    assert (second.stage, second.started_at, second.cells_done) == (S.WAITING, None, 0)
    assert second.asked_at == run.asked_at
    assert (again(second, "").lease_id, again(second, "").former_lease) == ("ab12-3", "ab12-2")


@pytest.mark.parametrize(("why", "stage", "gives"), [
    (None, S.RUNNING, False), (Why.HAND, S.RUNNING, False), (Why.PREEMPTED, S.RUNNING, True),
    (Why.RESERVED, S.RUNNING, True), (Why.PREEMPTED, S.STOPPING, False),
    (Why.PREEMPTED, S.STARTING, True), (Why.PREEMPTED, S.WAITING, True),
])
def test_who_gives_way(*, why: Why | None, stage: RunStage, gives: bool) -> None:
    assert gives_way(made_at(stage), lease(why=why)) is gives
    assert not gives_way(made_at(stage), None)


def made_at(stage: RunStage, **rest: Any) -> Any:
    return replace(made(), stage=stage, **rest)


@given(
    code=st.integers(-1, 300), oom=st.booleans(), overdue=st.booleans(),
    why=st.sampled_from([None, *Why]), stage=st.sampled_from([S.STARTING, S.RUNNING, S.STOPPING]),
)
def test_an_end_is_an_end_or_another_attempt(
    *, code: int, oom: bool, overdue: bool, why: Why | None, stage: RunStage
) -> None:
    after = ended(
        made_at(stage), code, "madang: succeeded 3 cells", lease(why=why), at=NOW, oom=oom,
        overdue=overdue,
    )
    if after.done:
        assert (after.attempt, after.exit_code, after.ended_at) == (1, code, NOW)
        return
    assert (after.stage, after.attempt, after.exit_code) == (S.WAITING, 2, None)
    assert why not in (None, Why.HAND)
    assert stage is not S.STOPPING
    assert not overdue
    assert code in (75, 137, 143)
    assert after.message == "needed elsewhere; it waits again"


def test_a_lease_that_a_hand_ended_is_a_cancel() -> None:
    done = ended(made_at(S.RUNNING), 75, "", BY_HAND, at=NOW, oom=False, overdue=False)
    assert (done.stage, done.message) == (S.CANCELLED, "ended by op")
    done = ended(made_at(S.RUNNING), 0, "madang: succeeded 3 cells", BY_HAND, at=NOW, oom=False,
                 overdue=False)
    assert done.stage is S.SUCCEEDED


def test_one_that_vanished() -> None:
    run = made_at(S.RUNNING)
    assert vanished(run, PREEMPTED, at=NOW).attempt == 2
    lost = vanished(replace(run, message="old"), lease(cause="its container is gone"), at=NOW)
    assert (lost.stage, lost.message) == (
        S.LOST, "its container disappeared: its container is gone"
    )
    for over in (BY_HAND, lease(stage=Stage.WITHDRAWN, cause="ended by op")):
        gone = vanished(run, over, at=NOW)
        assert (gone.stage, gone.message) == (S.CANCELLED, "ended by op")
    stopped = cancelled(run, "cancelled by kim", at=NOW)
    assert stopped.stage is S.STOPPING
    assert vanished(stopped, PREEMPTED, at=NOW).message == "cancelled by kim"


def test_a_late_word_of_an_earlier_attempt_moves_nothing() -> None:
    granted = lease(stage=Stage.GRANTED)
    begun = starting(made(), granted)
    assert begun.stage is S.STARTING
    assert running(begun, 1, at=NOW).started_at == NOW
    second = again(begun, "needed")
    assert starting(second, granted) == second
    assert running(second, 1, at=NOW) == second
    done = made_at(S.CANCELLED)
    for same in (running(done, 1, at=NOW), starting(done, granted), cancelled(done, "", at=NOW)):
        assert same == done

"""The Grafana dashboard asks only for what there is; and what it asks for, anybody would find."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from hub import metrics
from hub.face.health import DASHBOARD
from tests.house import promql

BOARD: dict[str, Any] = json.loads(DASHBOARD.read_text())
KNOWN = promql.samples()
CORE = {"row", "timeseries", "stat", "bargauge", "gauge", "table", "heatmap", "text"}


def _panels() -> Iterator[dict[str, Any]]:
    for panel in BOARD["panels"]:
        yield panel
        yield from panel.get("panels", [])


def _targets() -> list[Any]:
    return [
        pytest.param(panel, target, id=f"{panel['title']}-{target['refId']}")
        for panel in _panels() for target in panel.get("targets", [])
    ]


@pytest.mark.parametrize(("panel", "target"), _targets())
def test_every_query_names_a_series_that_exists(
    panel: dict[str, Any], target: dict[str, Any]
) -> None:
    expr = target["expr"]
    assert not promql.problems(expr, KNOWN), expr
    variables = {x["name"] for x in BOARD["templating"]["list"]} | {"__rate_interval"}
    assert set(re.findall(r"\$(\w+)", expr)) <= variables
    # a legend can show only the labels that the query leaves
    legend = set(re.findall(r"{{\s*(\w+)\s*}}", target["legendFormat"]))
    assert legend == set(promql.read(expr).labels) - {"le"}, panel["title"]


def test_variables_ask_for_series_that_exist() -> None:
    asked = [x for x in BOARD["templating"]["list"] if x["type"] == "query"]
    assert asked
    for one in asked:
        found = re.fullmatch(r"label_values\((\w+), (\w+)\)", one["query"]["query"])
        assert found
        assert found[2] in KNOWN[found[1]]


def test_it_needs_a_prometheus_and_nothing_else() -> None:
    first = BOARD["templating"]["list"][0]
    assert (first["type"], first["query"]) == ("datasource", "prometheus")
    assert {x["type"] for x in _panels()} <= CORE
    given = [x["datasource"] for p in _panels() for x in (p, *p.get("targets", ())) if
             "datasource" in x]
    assert {(x["type"], x["uid"]) for x in given} == {("prometheus", f"${{{first['name']}}}")}
    assert BOARD["schemaVersion"] >= 39
    assert BOARD.get("id") is None  # an id would overwrite somebody's dashboard


def test_panels_have_their_own_ids_and_places() -> None:
    panels = list(_panels())
    assert len({x["id"] for x in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        g = panel["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"])
                 for y in range(g["y"], g["y"] + g["h"])}
        assert g["x"] + g["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_series_is_on_the_dashboard() -> None:
    asked = {
        s.name for p in _panels() for t in p.get("targets", ())
        for s in promql.read(t["expr"]).selectors
    }
    shown = {re.sub(r"_(bucket|count|sum)$", "", x) for x in asked}
    # told by their seconds and failures
    assert {s.name for s in metrics.ALL} - shown <= {"madang_ticks_total", "madang_leases"}


@pytest.mark.parametrize(("expr", "problem"), [
    ("sum(madang_line_lenght)", "no series madang_line_lenght"),
    ("madang_grants", "no series madang_grants"),  # what the library calls it; a sample it is not
    ("rate(madang_wait_seconds[5m])", "no series madang_wait_seconds"),
    ("rate(madang_eta_error_seconds_sum[5m])", "no series madang_eta_error_seconds_sum"),
    ("madang_line_length_sum", "no series madang_line_length_sum"),
    ('madang_slices{stage="free"}', "madang_slices has no label stage"),
    ("sum by (user) (madang_slices)", "not all series have the label user"),
    ("sum(madang_leases) by (profile)", "not all series have the label profile"),
    ("madang_use / on (profile) madang_share", "not all series have the label profile"),
    ("time() - 5", "no series at all"),
])
def test_a_wrong_query_would_be_found(expr: str, problem: str) -> None:
    assert promql.problems(expr, KNOWN) == [problem]


@pytest.mark.parametrize("expr", ["sum(madang_use", "madang_use ? 3", "madang_use; drop"])
def test_what_is_no_query_is_refused(expr: str) -> None:
    with pytest.raises(ValueError, match=r"brackets|not understood"):
        promql.read(expr)


def test_names_are_read_where_they_stand() -> None:
    query = promql.read(
        'histogram_quantile(0.5, sum by (le, kind) (rate(a:b_bucket{kind=~"x|y{z}", c!="by (q)"}'
        "[$__rate_interval] offset 1h))) / ignoring (le) group_left () 2e3 "
        "* max_over_time(d[1d:5m]) and on () up == bool 1"
    )
    assert query.selectors == (
        promql.Selector("a:b_bucket", frozenset({"kind", "c"})), promql.Selector("d"),
        promql.Selector("up"),
    )
    assert query.labels == {"le", "kind"}

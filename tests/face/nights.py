"""Runs that are over, with what they have left behind, in a running service."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.core.runs import DONE, Run, RunStage
from tests.face.running import Running


def over(
    service: Running, id: str, *, ago: float = 1, output: dict[str, Any] | bytes | None = None,
    **rest: Any,
) -> Run:
    """A run of ana's that ended `ago` hours before, after five minutes; or is in another stage."""
    ended = datetime.now(UTC) - timedelta(hours=ago)
    begun = ended - timedelta(minutes=5)
    run = replace(Run(
        id=id, user="ana", notebook="night.ipynb", profile="1g.5gb", image="i", parameters={},
        stage=RunStage.SUCCEEDED, asked_at=begun, folder="runs/n", started_at=begun,
        slice="node1/GPU-0123456789/1g.5gb@4", cells=9, cells_done=9,
    ), **rest)
    run = replace(run, ended_at=ended if run.stage in DONE else None)
    with service.broker.edges.store.write() as unit:
        unit.put_run(run)
    text = json.dumps(output).encode() if isinstance(output, dict) else output
    service.batch.files.keep_output(id, text, b"{}")
    return run

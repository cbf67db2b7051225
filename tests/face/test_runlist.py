"""Lists of runs: what has ended is put into JSON once, as far as there is room for it."""

from pathlib import Path

import pytest

from hub.face import runlist
from tests.face.nights import over
from tests.face.running import running


def test_what_is_kept_of_long_lists_stays_within_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as service, service.client("t-ana") as http:
        ids = [over(service, f"r{i}", ago=i + 1, message="x" * 500).id for i in range(9)]
        kept = service.app.state.parts.runs._kept
        monkeypatch.setattr(runlist, "_MOST", 4000)
        for _ in range(2):
            assert [x["id"] for x in http.get("api/runs").json()] == ids
            assert 2 < len(kept) < 9
            assert sum(map(len, kept.values())) <= 4000
        monkeypatch.setattr(runlist, "_MOST", 1_000_000)
        assert [x["id"] for x in http.get("api/runs").json()] == ids
        assert len(kept) == 9

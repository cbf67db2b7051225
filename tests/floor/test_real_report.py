"""The morning after real runs: their outputs come out of real containers, the report into homes."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hub.core.compare import Fate
from hub.core.runs import Run, RunStage
from hub.face import reported
from hub.mornings import Mornings
from hub.reports import Reports
from tests.floor.houses import House, house_at
from tests.notebooks import png

pytestmark = pytest.mark.docker
PICTURE = """
from base64 import b64decode
from IPython.display import HTML, Image, display
display(Image(b64decode("{png}")))
display(HTML("<script>document.title = 'pwned'</script>"))
"""
RECORD = "import madang\nmadang.record(loss={loss})"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_at(tmp_path) as made:
        yield made


@pytest.fixture
def reports(house: House) -> Iterator[Reports]:
    made = Reports(house.batch)
    yield made
    made.close()


def ended(house: House, *cells: str) -> Run:
    run = house.submit(*cells)
    house.until(lambda: house.batch.get(run.id).done, "it has ended")
    return house.batch.get(run.id)


def test_two_nights_and_the_mornings_report(house: House, reports: Reports) -> None:
    first = ended(house, PICTURE.format(png=png(extra=b"1")), RECORD.format(loss=0.4))
    second = ended(house, PICTURE.format(png=png(extra=b"2")), RECORD.format(loss=0.3))
    third = ended(house, "print('well')", "{}['no such key']")
    assert (first.stage, second.stage) == (RunStage.SUCCEEDED, RunStage.SUCCEEDED)
    found = reports.report(first.user, "1h")
    assert [x.run.id for x in found.entries] == [third.id, second.id, first.id]
    failed, changed, _ = found.entries
    assert failed.cell == 2
    assert "KeyError" in failed.error
    assert "KeyError" in failed.lines[-1]
    assert changed.before
    assert changed.before.id == first.id
    assert [(x.name, x.value, x.before) for x in changed.figures] == [("loss", 0.3, 0.4)]
    assert changed.run.memory_peak_mib
    cells = reports.compare(first, second).cells
    assert [(x.fate, x.outputs) for x in cells] == [(Fate.CHANGED, True), (Fate.CHANGED, True)]
    assert [x.uri.partition(",")[2] for side in cells[0].pictures for x in side] == [
        png(extra=b"1"), png(extra=b"2"),
    ]
    assert b"<script" not in reports.page(second)
    assert Mornings(reports, partial(reported.as_file, reports)).look() == 1
    (file,) = (house.home() / "runs").glob("report-*.html")
    page = file.read_text()
    assert png(extra=b"2") in page
    assert "no such key" in page
    assert "<script" not in page
    assert file.stat().st_uid == 1000

"""The notebooks that ship: how they are written, and that each runs in the image, top to bottom."""

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from madang.packing import pack

from hub.core import course as merging
from hub.core import coursefile, releases
from hub.core.courses import Author
from hub.core.coursetree import Limits
from hub.upkeep import DEMO
from tests import courses
from tests.courses import COURSE
from tests.images.bench import Done
from tests.images.caged import HOME, NIGHTLY, Cage, book

SHIPPED = sorted(
    x for x in NIGHTLY.parent.rglob("*.ipynb") if ".ipynb_checkpoints" not in x.parts
)
EXPERIMENTS = sorted(NIGHTLY.glob("*.ipynb"))
SHORT: dict[str, dict[str, Any]] = {
    "digits-cnn.ipynb": {"epochs": 2},
    "proverbs-lm.ipynb": {"steps": 20, "layers": 1, "width": 32},
    "learning-rate.ipynb": {"epochs": 3, "lr": 0.1, "seed": 3},
}
RECORDED = {
    "digits-cnn.ipynb": {"accuracy", "wrong", "weights", "device", "loss", "best_accuracy"},
    "proverbs-lm.ipynb": {"validation_loss", "bits_per_letter", "weights", "device", "loss"},
    "learning-rate.ipynb": {"valid_loss", "valid_accuracy", "test_accuracy", "loss", "best_epoch"},
}
LESSONS = sorted(COURSE.glob("*.ipynb"))
EXERCISES = {
    "01-tensors.ipynb": 3, "02-training-loop.ipynb": 3, "03-convolution.ipynb": 3,
    "04-transformer.ipynb": 3,
}
# enough for the checks of the exercises, which train once more
BRIEF: dict[str, dict[str, Any]] = {
    "03-convolution.ipynb": {"epochs": 3}, "04-transformer.ipynb": {"steps": 40, "length": 5},
}


def name(path: Path) -> str:
    return path.name


class Classroom(Cage):
    """Lessons of a course in the runner, each with the whole folder beside it."""

    def __init__(self, home: Path, course: Path) -> None:
        super().__init__(home)
        self.course = course

    def start(self, notebook: str, *, attempt: int = 1, folder: str = "run", **parameters: Any) -> (
        "subprocess.Popen[str]"
    ):
        shutil.copyfile(self.course / notebook, self.home / "input.ipynb")
        (self.home / "input.tar.gz").write_bytes(pack(self.course, without=notebook).data)
        (self.home / "job.json").write_text(json.dumps({
            "id": folder, "notebook": f"{HOME}/input.ipynb", "snapshot": f"{HOME}/input.tar.gz",
            "name": notebook.removesuffix(".ipynb"), "folder": f"runs/{folder}",
            "parameters": parameters, "attempt": attempt,
        }))
        return self._container("python", "-m", "madang.runner", f"{HOME}/job.json")


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    classroom = Classroom(tmp_path_factory.mktemp("home"), COURSE)
    yield classroom
    classroom.close()


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """The second release, with the instructor's answers written into it."""
    course = courses.second_release(tmp_path_factory.mktemp("course") / "torch-101")
    for path in course.glob("*.ipynb"):
        courses.answer(path, courses.solutions(course, path.name))
    classroom = Classroom(tmp_path_factory.mktemp("home"), course)
    yield classroom
    classroom.close()


@pytest.fixture(scope="module")
def cage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cage]:
    cage = Cage(tmp_path_factory.mktemp("home"))
    yield cage
    cage.close()


# ---- how they are written -----------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=name)
def test_a_shipped_notebook_is_clean(path: Path) -> None:
    found = book(path)
    nbformat.validate(found)
    assert (found.nbformat, found.nbformat_minor) == (4, 5)
    ids = [c["id"] for c in json.loads(path.read_text())["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in found.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            ast.parse(cell.source)
        assert set(cell.metadata) <= {"tags"}
    assert set(found.metadata) == {"kernelspec", "language_info"}
    assert found.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_an_experiment_has_parameters_with_types_and_comments_and_a_seed(path: Path) -> None:
    (cell,) = [c for c in book(path).cells if "parameters" in c.metadata.get("tags", ())]
    lines = cell.source.splitlines()
    assert all(re.fullmatch(r"[a-z_]+: (int|float|str|bool) = \S+  # \S.*", x) for x in lines)
    assert any(x.startswith("seed: int = ") for x in lines)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_the_readme_tells_of_each_experiment_and_its_parameters(path: Path) -> None:
    (cell,) = [c for c in book(path).cells if "parameters" in c.metadata.get("tags", ())]
    known = [x.partition(":")[0] for x in cell.source.splitlines()]
    text = (NIGHTLY / "README.md").read_text()
    (row,) = [x for x in text.splitlines() if x.startswith(f"| `{path.name}`")]
    told = re.findall(r"`(\w+)`", row.split("|")[3])
    assert sorted(told) == sorted(known)


def test_every_experiment_is_run_here() -> None:
    assert {x.name for x in EXPERIMENTS} == set(SHORT)


# ---- the course ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_a_lesson_has_ids_of_its_own_and_a_korean_summary_on_top(path: Path) -> None:
    found = book(path).cells
    assert all(re.fullmatch(rf"t{path.name[1]}-[a-z0-9-]{{1,20}}", x.id) for x in found)
    assert "**요약**" in found[0].source
    assert len(re.findall("[가-힣]", found[0].source)) > 60


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_every_exercise_is_a_text_a_cell_to_answer_in_and_a_check(path: Path) -> None:
    found = [x.id for x in book(path).cells]
    numbers = [x.rpartition("-")[2] for x in found if "-ex-" in x]
    assert len(numbers) == EXERCISES[path.name]
    for number in numbers:
        first = path.name[1]
        at = found.index(f"t{first}-ex-{number}")
        assert found[at + 1:at + 3] == [f"t{first}-answer-{number}", f"t{first}-check-{number}"]


def test_no_two_lessons_share_an_id() -> None:
    ids = [x.id for path in LESSONS for x in book(path).cells]
    assert len(set(ids)) == len(ids)
    assert {x.name for x in LESSONS} == set(EXERCISES)


def test_the_course_file_says_what_is_data_and_what_is_never_handed_out() -> None:
    said = (COURSE / coursefile.COURSE_FILE).read_text()
    about = coursefile.read(said.encode(), zone="Asia/Seoul")
    assert (about.title, about.group, about.profile) == ("PyTorch 101", DEMO, "1g.5gb")
    paths = [x.relative_to(COURSE).as_posix() for x in COURSE.rglob("*") if x.is_file()]
    assert [x for x in paths if about.is_data(x)] == ["data/diabetes.csv"]
    assert {x for x in paths if about.ignores(x)} == {x for x in paths if x.startswith("solutions")}
    assert all(about.visible_from(x) is None for x in paths)
    assert about.unmatched(paths) == []


def test_the_commented_line_of_the_course_file_hides_the_last_lesson_until_then() -> None:
    said = (COURSE / coursefile.COURSE_FILE).read_text()
    assert said.count('\n# "') == 1
    about = coursefile.read(said.replace('\n# "', '\n"').encode(), zone="Asia/Seoul")
    hidden = [x.name for x in LESSONS if about.visible_from(x.name) is not None]
    assert hidden == ["04-transformer.ipynb"]


def test_the_courses_readme_tells_of_every_lesson_and_nothing_else() -> None:
    told = re.findall(r"^\| `(\S+\.ipynb)`", (COURSE / "README.md").read_text(), re.MULTILINE)
    assert told == [x.name for x in LESSONS]


@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_there_is_a_solution_for_every_exercise(path: Path) -> None:
    asked = {x.id for x in book(path).cells if "-answer-" in x.id}
    said = courses.solutions(COURSE, path.name)
    assert set(said) == asked
    for text in said.values():
        ast.parse(text)


def test_the_second_release_changes_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    course = courses.second_release(tmp_path / "torch-101")
    changed, added, removed = set(), set(), set()
    for path in LESSONS:
        before, after = courses.cells(path), courses.cells(course / path.name)
        both = before.keys() & after.keys()
        changed |= {(path.name, x) for x in both if before[x] != after[x]}
        added |= {(path.name, x) for x in after.keys() - both}
        removed |= {(path.name, x) for x in before.keys() - both}
        order = [[x for x in found if x in both] for found in (before, after)]
        assert (order[0] != order[1]) == (path.name == courses.MOVED[0])
    assert changed == {*courses.REWORDED, courses.FIXED, courses.CLARIFIED}
    assert added == {(courses.ADDED[0], x) for x in courses.ADDED[1]}
    assert removed == {courses.REMOVED}
    for path in course.glob("*.ipynb"):
        test_a_shipped_notebook_is_clean(path)


def test_the_releases_differ_in_one_file_beside_the_notebooks_that_is_handed_out(
    tmp_path: Path,
) -> None:
    first, second = courses.first_release(tmp_path / "1"), courses.second_release(tmp_path / "2")
    files = [x.relative_to(first) for x in first.rglob("*") if x.is_file()]
    assert {x.relative_to(second) for x in second.rglob("*") if x.is_file()} == set(files)
    differ = {x.as_posix() for x in files if (first / x).read_bytes() != (second / x).read_bytes()}
    assert differ == {
        "README.md", "solutions/02-training-loop.py", "02-training-loop.ipynb",
        "03-convolution.ipynb", "04-transformer.ipynb",
    }


def test_both_releases_are_published_as_they_are(tmp_path: Path) -> None:
    def blob(sha256: str) -> bytes:
        raise KeyError(sha256)

    given = releases.Given(
        "torch-101", Author("instructor", frozenset({DEMO})), Limits(), "Asia/Seoul", blob,
    )
    for make in (courses.first_release, courses.second_release):
        folder = make(tmp_path / make.__name__)
        found = {x.relative_to(folder).as_posix(): x.read_bytes()
                 for x in folder.rglob("*") if x.is_file()}
        draft = releases.check(releases.Files(found), given)
        assert draft.problems == ()
        assert {x.path for x in draft.files} == {
            "README.md", "data/diabetes.csv", *(x.name for x in LESSONS)
        }


def test_the_second_release_over_a_students_answers_shows_every_kind_of_merge(
    tmp_path: Path,
) -> None:
    second = courses.second_release(tmp_path / "second")
    mine = courses.first_release(tmp_path / "mine")
    fates, conflicts = {}, {}
    for path in LESSONS:
        courses.answer(mine / path.name, courses.solutions(COURSE, path.name))
        merged = merging.merge(*(
            json.loads(x.read_text()) for x in (path, second / path.name, mine / path.name)
        ))
        conflicts[path.name] = merged.conflicts
        fates |= {(path.name, x.id): str(x.fate) for x in merged.cells if x.fate != "kept"}
    assert conflicts == {x.name: int(x.name == courses.CLARIFIED[0]) for x in LESSONS}
    assert fates == {
        **dict.fromkeys([*courses.REWORDED, courses.FIXED], "taken"),
        courses.CLARIFIED: "beside",
        **{(courses.ADDED[0], x): "added" for x in courses.ADDED[1]},
        courses.REMOVED: "removed",
        **{(courses.MOVED[0], x): "moved" for x in courses.MOVED[1]},
    }


# ---- that they run ------------------------------------------------------------------------


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_an_experiment_runs_without_a_network(cage: Cage, path: Path) -> None:
    done = cage.run(path.name, folder=path.stem, **SHORT[path.name])
    assert done.code == 0, done.log
    assert "Warning" not in done.log
    record = done.record
    assert set(record["metrics"]) == RECORDED[path.name]
    assert all(isinstance(x, int | float | str) for x in record["metrics"].values())
    assert record["steps_done"] == record["steps"] > 0
    outputs = [o for c in done.cells for o in c.get("outputs", ())]
    assert any("image/png" in o.get("data", ()) for o in outputs)
    assert (done.folder / "checkpoints").is_dir()


def learnt(lesson: str, figures: dict[str, float]) -> bool:
    """Whether a lesson's numbers show what its text says."""
    if lesson.startswith("01"):
        return figures["accuracy"] > 0.8
    if lesson.startswith("02"):
        fitted = max(figures["test"], figures["test_linear"])
        return fitted < 0.85 * figures["test_mean"] and figures["best_epoch"] < 60
    if lesson.startswith("03"):
        least = min(figures["accuracy"], figures["accuracy_plain"])
        return least > 0.94 and figures["accuracy_shifted"] > 0.7
    return figures["exact"] > 0.95


def said_by(done: Done) -> str:
    return "".join(o.get("text", "") for c in done.cells for o in c.get("outputs", ()))


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_a_lesson_runs_unanswered_and_learns(classroom: Classroom, path: Path) -> None:
    done = classroom.run(path.name, folder=path.stem)
    assert done.code == 0, done.log
    assert "Warning" not in done.log
    said = said_by(done)
    found = re.findall(r"^Exercise (\d): (not answered yet|right|not yet)", said, re.MULTILINE)
    wanted = range(1, EXERCISES[path.name] + 1)
    assert found == [(str(x), "not answered yet") for x in wanted]
    assert learnt(path.name, done.record["metrics"]), done.record["metrics"]
    outputs = [o for c in done.cells for o in c.get("outputs", ())]
    assert any("image/png" in o.get("data", ()) for o in outputs)


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", LESSONS, ids=name)
def test_the_second_release_runs_with_answers_that_its_checks_find_right(
    solved: Classroom, path: Path
) -> None:
    done = solved.run(path.name, folder=path.stem, **BRIEF.get(path.name, {}))
    assert done.code == 0, done.log
    assert "Warning" not in done.log
    said = said_by(done)
    found = re.findall(r"^Exercise (\d): (not answered yet|right|not yet)", said, re.MULTILINE)
    more = path.name == courses.ADDED[0]
    assert sorted(found) == [(str(x + 1), "right") for x in range(EXERCISES[path.name] + more)]

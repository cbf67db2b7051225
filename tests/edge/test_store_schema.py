import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hub.core.courses import BaseFact
from hub.core.lease import Asked, State
from hub.edge import coursetables, schema, tables
from hub.edge.courserows import CourseStore
from hub.edge.store import Store
from hub.errors import BadInput
from tests.edge.store_facts import move, request


def test_upgrade_makes_the_schema_and_may_be_repeated(url: str) -> None:
    store = Store(url)
    assert not store.current()
    store.upgrade()
    assert store.current()
    store.upgrade()
    assert store.current()
    assert store.read() == State()
    store.close()


def test_the_migrations_make_exactly_the_tables(store: Store) -> None:
    with store._database.begin() as c:
        assert coursetables.courses.metadata is tables.metadata
        assert compare_metadata(MigrationContext.configure(c), tables.metadata) == []


def test_asking_whether_it_is_current_makes_no_file(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'none.sqlite'}")
    assert not store.current()
    store.close()
    assert list(tmp_path.iterdir()) == []


NEXT = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9999", "{last}"
def upgrade():
    op.add_column("members", sa.Column("since", sa.Text))
    {then}
"""


@contextmanager
def next_revision(tmp_path: Path, then: str) -> Iterator[None]:
    """The code after a next version, whose migration ends in `then`."""
    theirs = tmp_path / "migrations"
    shutil.copytree(schema._MIGRATIONS, theirs)
    following = NEXT.format(last=schema._head(), then=then)
    (theirs / "versions" / "9999_next.py").write_text(following)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "_MIGRATIONS", theirs)
        schema._head.cache_clear()
        yield
    schema._head.cache_clear()


def test_a_change_of_the_schema_keeps_a_copy_of_the_file(store: Store, tmp_path: Path) -> None:
    move(store, Asked(request("a")))
    with next_revision(tmp_path, "pass"):
        assert not store.current()
        store.upgrade()
        assert store.current()
        assert "a" in store.read().leases
    copies = list(tmp_path.rglob("*.before-*"))
    if store._file is None:
        assert copies == []
        return
    assert [x.name for x in copies] == ["madang.sqlite.before-9999"]
    assert copies[0].stat().st_mode & 0o777 == 0o600
    old = sqlite3.connect(copies[0])
    assert old.execute("SELECT version_num, id FROM alembic_version, leases").fetchall() == [
        (schema._head(), "a")
    ]
    old.close()


def test_a_change_that_fails_changes_nothing(store: Store, tmp_path: Path) -> None:
    before = move(store, Asked(request("a")))
    with next_revision(tmp_path, "raise KeyError('broken')"), pytest.raises(KeyError):
        store.upgrade()
    assert store.current()
    assert store.read() == before
    with store._database.begin() as c:
        assert compare_metadata(MigrationContext.configure(c), tables.metadata) == []


@contextmanager
def older(tmp_path: Path, last: str) -> Iterator[None]:
    """The code as it was when this revision was the newest."""
    theirs = tmp_path / "older"
    shutil.copytree(schema._MIGRATIONS, theirs)
    for x in (theirs / "versions").glob("[0-9]*.py"):
        if x.name[:4] > last:
            x.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "_MIGRATIONS", theirs)
        schema._head.cache_clear()
        yield
    schema._head.cache_clear()


def test_who_had_a_course_before_what_they_have_was_told_in_a_word(
    url: str, tmp_path: Path
) -> None:
    store = Store(url)
    with older(tmp_path, "0006"):
        store.upgrade()
        with store._database.begin(write=True) as c:
            for user, sha256 in (("minji", "1"), ("bora", "1"), ("ana", "2")):
                c.execute(
                    sa.text("INSERT INTO students VALUES (:user, 'torch', 3, 4, 0, :bases)"),
                    {"user": user, "bases": json.dumps([["a.ipynb", sha256, "x", ""]])},
                )
    assert not store.current()
    store.upgrade()
    kept = CourseStore(store)
    found = {x.user: x for x in kept.standing()[1].values()}
    assert found["minji"].has == found["bora"].has != found["ana"].has
    assert all(len(x.has) > 20 and (x.release, x.update) == (3, 4) for x in found.values())
    student = kept.whole(found["ana"])
    assert student is not None
    assert student.bases == {"a.ipynb": BaseFact("a.ipynb", "2", "x")}
    with store._database.begin() as c:
        assert compare_metadata(MigrationContext.configure(c), tables.metadata) == []
    store.close()


def test_the_first_upgrade_makes_no_copy_and_a_private_file(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'new' / 'm.sqlite'}")
    store.upgrade()
    store.close()
    (only,) = (tmp_path / "new").iterdir()
    assert only.name == "m.sqlite"
    assert only.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("bad", ["", "sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense"])
def test_other_databases_are_refused(bad: str) -> None:
    with pytest.raises(BadInput, match="setting database"):
        Store(bad)

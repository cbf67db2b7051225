"""The tables behind `hub.edge.courserows`, which alone imports this.

No state has them: a write here changes no version. `files`, `bases` and `before` are JSON in the
words of `hub.core.courses`, and megabytes: whoever asks for everybody asks for other columns.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from hub.edge.tables import Json, Moment, Words, metadata

courses = Table(
    "courses", metadata,
    Column("name", Text, primary_key=True),
    Column("title", Words, nullable=False),
    Column("group", Words, nullable=False),
    Column("zone", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("made_by", Words, nullable=False),
    Column("profile", Words, nullable=False),
    Column("image", Words, nullable=False),
)

# the key is what keeps two publishers from making the same release
releases = Table(
    "releases", metadata,
    Column("course", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("commit", Text, nullable=False),
    Column("by", Words, nullable=False),
    Column("at", Moment, nullable=False),
    Column("notes", Words, nullable=False),
    Column("files", Json, nullable=False),
    Column("withdrawn_at", Moment),
    Column("withdrawn_by", Words, nullable=False),
)

# `has`: what `hub.core.handingout.digest` says of `bases`, or another word that is as telling
students = Table(
    "students", metadata,
    Column("user", Text, primary_key=True),
    Column("course", Text, primary_key=True),
    Column("release", Integer, nullable=False),
    Column("update", Integer, nullable=False),
    Column("held_at", Integer, nullable=False),
    Column("bases", Json, nullable=False),
    Column("has", Text, nullable=False, server_default=""),
)
Index("students_by_course", students.c.course)
# all that is asked of everybody: SQLite would read through `bases` to come to what is behind them
Index("students_in_short", *(
    students.c[x] for x in ("user", "course", "release", "update", "held_at", "has")
))

# `before`: the row of `students` as it was, which an undo puts back; empty where it is kept no more
handouts = Table(
    "handouts", metadata,
    Column("user", Text, primary_key=True),
    Column("course", Text, primary_key=True),
    Column("update", Integer, primary_key=True, autoincrement=False),
    Column("release", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("files", Json, nullable=False),
    Column("before", Json, nullable=False),
    Column("undone_at", Moment),
)

collections = Table(
    "collections", metadata,
    Column("id", Text, primary_key=True),
    Column("course", Text, nullable=False),
    Column("name", Words, nullable=False),
    Column("path", Words, nullable=False),
    Column("due", Moment, nullable=False),
    Column("made_by", Words, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("taken_at", Moment),
    Column("feedback_at", Moment),
)
Index("one_name_per_collection", collections.c.course, collections.c.name, unique=True)

submissions = Table(
    "submissions", metadata,
    Column("collection", Text, primary_key=True),
    Column("user", Text, primary_key=True),
    Column("files", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("taken_at", Moment, nullable=False),
    Column("problem", Words, nullable=False),
    Column("returned_at", Moment),
)

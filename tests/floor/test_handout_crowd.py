"""A class that presses "Update course" together, each with a notebook that is merged aside."""

import threading
from concurrent.futures import ThreadPoolExecutor

from hub.core.roster import Member, Role
from hub.merging import SMALL
from tests.floor.classes import GROUP, Classroom, cells, dumped, fates

CLASS = [f"student{x}" for x in range(30)]


def test_a_whole_class_with_large_notebooks_is_updated_at_once(room: Classroom) -> None:
    room.floor.broker.set_members([Member(x, GROUP, Role.STUDENT) for x in CLASS])
    room.publish({"a.ipynb": cells(t="# Tensors", a="x = 1", b="y = 2")})
    mine = dumped(*cells(t="# Tensors", a="x = 1", b="mine"), *cells(own=f"'{'x' * SMALL}'"))
    for one in CLASS:
        room.given(one)
        room.put("a.ipynb", mine, one)
    room.publish({"a.ipynb": cells(t="# Tensors", a="x = 10", b="y = 2")})
    together = threading.Barrier(len(CLASS))

    def press(user: str) -> dict[str, str]:
        together.wait(60)
        return fates(room.given(user, anyway=True))

    with ThreadPoolExecutor(len(CLASS)) as pool:
        assert list(pool.map(press, CLASS)) == [{"a.ipynb": "merged"}] * len(CLASS)
    for one in CLASS:
        found = room.sources("a.ipynb", one)
        assert (found["a"], found["b"]) == ("x = 10", "mine")

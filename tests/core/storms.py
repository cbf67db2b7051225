"""Days in `World` drawn by weight, not by Hypothesis: fifty times as many in the same time."""

from random import Random
from typing import Any

from hub.core.lease import Kind
from tests.core.world import BIG, SECONDS, SLICES, SMALL, World

# how often each thing happens in a storm; what moves a lease on happens more often
WEIGHTS = {
    "time_passes": 20, "somebody_asks": 12, "the_policy_gives": 16, "it_is_ended": 8,
    "it_is_withdrawn": 3, "a_start_is_told": 12, "a_container_is_removed": 10,
    "a_start_begins": 14, "a_start_lands": 24, "a_container_exits": 5, "a_container_vanishes": 2,
    "what_lingers_dies": 2, "a_foreign_process_comes_or_goes": 2, "a_slice_vanishes_or_returns": 1,
    "a_look_is_taken": 16, "a_look_is_told": 20, "a_server_reports": 6, "slices_are_reserved": 2,
    "an_operator_blocks_a_slice": 1,
}


def storm(seed: int, *, days: int, steps: int = 80) -> None:
    """`days` worlds of `steps` events each, checked after every event."""
    luck = Random(seed)
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    for _ in range(days):
        world = World()
        world.begin()
        for name in luck.choices(names, weights, k=steps):
            getattr(world, name)(**_drawn(luck, name))
            world.the_conservation_law_holds()
            world.no_two_containers_run_on_one_slice()
        world.teardown()


def _drawn(luck: Random, name: str) -> dict[str, Any]:
    often = luck.random() < 0.85
    pick = luck.randrange(1000)
    drawn: dict[str, dict[str, Any]] = {
        "time_passes": {"seconds": luck.choice(SECONDS)},
        "somebody_asks": {
            "who": luck.randrange(4), "kind": luck.choice(list(Kind)),
            "profile": luck.choice([SMALL, SMALL, BIG]),
        },
        "it_is_ended": {"pick": pick}, "it_is_withdrawn": {"pick": pick},
        "a_start_is_told": {"pick": pick}, "a_start_begins": {"pick": pick},
        "a_container_is_removed": {"pick": pick, "fails": not often},
        "a_start_lands": {"pick": pick, "boots": luck.random() < 0.7},
        "a_container_exits": {"pick": pick, "lingers": not often},
        "a_container_vanishes": {"pick": pick},
        "a_foreign_process_comes_or_goes": {"where": luck.choice(SLICES)},
        "a_slice_vanishes_or_returns": {"where": luck.choice(SLICES)},
        "a_look_is_taken": {"gpus": often, "docker": luck.random() < 0.85},
        "a_look_is_told": {"pick": pick, "again": not often},
        "a_server_reports": {"pick": pick, "ago": luck.choice(SECONDS)},
        "slices_are_reserved": {
            "group": luck.choice("ab"), "ahead": luck.choice(SECONDS), "many": luck.randrange(1, 3),
        },
        "an_operator_blocks_a_slice": {"where": luck.choice(SLICES)},
    }
    return drawn.get(name, {})

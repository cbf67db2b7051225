"""What only real cards do: old drivers, missing rights, half-made instances."""

import subprocess
import sys

import pytest
from pynvml import (
    NVML_ERROR_INSUFFICIENT_RESOURCES,
    NVML_ERROR_NO_PERMISSION,
    NVML_ERROR_UNKNOWN,
)

from hub.errors import Refusal, Unavailable, Unknown
from tests.edge.gpu_rigs import (
    ROOT,
    M,
    Make,
    gpu,
)


def test_a_driver_of_2021_works_too(make_nvml: Make) -> None:
    rig = make_nvml(M, FAKE_NVML_OLD="1")
    made = rig.inventory.create(gpu(rig.inventory), "2g.10gb", 2)
    assert made.key.profile == "2g.10gb"
    assert made.processes == ()
    assert made.uuid == f"MIG-{made.key.gpu}/9/0", "the form before R470"
    rig.occupy(made, 3)
    assert rig.inventory.sample().slices[0].processes == (3,)
    rig.occupy(made)
    rig.inventory.destroy(made.key)
    assert rig.inventory.sample().slices == ()


@pytest.mark.parametrize("then", ["create", "destroy"])
def test_a_crash_between_the_two_creations_is_mended(make_nvml: Make, then: str) -> None:
    rig = make_nvml(M)
    cards = rig.inventory
    half = cards.create(gpu(cards), "3g.20gb", 4)
    rig.far.ask("fake_empty_instance", half.uuid)
    assert cards.sample().slices == (), "without a compute instance it is no slice"
    if then == "create":
        assert cards.create(gpu(cards), "3g.20gb", 4) == half
    else:
        cards.destroy(half.key)
        cards.create(gpu(cards), "4g.20gb", 0)
        cards.create(gpu(cards), "1g.5gb", 6)


def test_a_compute_instance_that_cannot_be_made_leaves_no_half_slice(make_nvml: Make) -> None:
    rig = make_nvml(M)
    cards = rig.inventory
    name = "nvmlGpuInstanceCreateComputeInstance"
    rig.fail(name, NVML_ERROR_INSUFFICIENT_RESOURCES)
    with pytest.raises(Refusal):
        cards.create(gpu(cards), "7g.40gb", 0)
    rig.fail(name, 0)
    cards.create(gpu(cards), "1g.5gb", 0)


def test_missing_rights_say_what_to_do_and_a_look_without_them_is_unknown(make_nvml: Make) -> None:
    rig = make_nvml(M)
    card = gpu(rig.inventory)
    rig.inventory.create(card, "1g.5gb", 1)
    for name in ("nvmlDeviceCreateGpuInstanceWithPlacement", "nvmlDeviceGetGpuInstanceById"):
        rig.fail(name, NVML_ERROR_NO_PERMISSION)
    with pytest.raises(Unavailable, match="run Madang as root"):
        rig.inventory.create(card, "1g.5gb", 0)
    with pytest.raises(Unknown):
        rig.inventory.sample()


def test_a_card_dead_at_the_start_does_not_keep_the_others_from_starting(make_nvml: Make) -> None:
    rig = make_nvml(M, M)
    rig.lose(0)  # lost before the library was even opened: the count still has it
    assert [g.index for g in rig.inventory.sample().gpus] == [1]


def test_a_card_that_fails_at_the_first_look_leaves_everything_unknown(make_nvml: Make) -> None:
    rig = make_nvml(M, M)
    rig.fail("nvmlDeviceGetUUID", NVML_ERROR_UNKNOWN)
    with pytest.raises(Unknown):
        rig.inventory.sample()


def test_a_driver_that_was_loaded_anew_is_opened_anew(make_nvml: Make) -> None:
    rig = make_nvml(M)
    before = rig.inventory.sample()
    rig.far.ask("fake_reload")
    with pytest.raises(Unknown):
        rig.inventory.sample()
    assert rig.inventory.sample() == before


def test_a_broken_driver_is_a_driver(make_nvml: Make) -> None:
    rig = make_nvml(M)
    assert rig.far.ask("has_driver") is True
    rig.fail("nvmlInitWithFlags", 9)
    assert rig.far.ask("has_driver") is True
    with pytest.raises(Unknown):
        rig.inventory.sample()


def test_importing_the_edge_needs_neither_settings_nor_pydantic() -> None:
    code = "import sys, hub.edge.gpu; print({'pydantic', 'hub.config'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert run.stdout == "set()\n", run.stderr

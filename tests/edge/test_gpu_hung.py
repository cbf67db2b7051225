"""A card whose calls do not come back: the others are looked at, and it is unknown."""

import pytest

from hub.core.mig import Sample, Slice
from hub.errors import Unknown
from tests.edge.gpu_rigs import M, Make, NvmlRig, by_key, gpu


class HungRig:
    """Two cards with a slice each, on a fake library whose calls can be made to hang."""

    def __init__(self, rig: NvmlRig) -> None:
        self.rig = rig
        self.cards = rig.inventory
        self.bad, self.good = (self.cards.create(gpu(self.cards, n), "3g.20gb", 4) for n in (0, 1))
        self.look()

    def look(self) -> Sample:
        return self.cards.sample()

    def processes(self, found: Slice) -> tuple[int, ...] | None:
        return by_key(self.look())[found.key].processes

    def hang(self, *cards: int) -> None:
        for card in cards:
            self.cards.ask("fake_hang", card, 1)

    def comes_back(self, card: int) -> None:
        """It answers, and the look that hung has ended."""
        before = self.under_way()
        self.cards.ask("fake_hang", card, 0)
        while self.under_way() == before:
            pass

    def under_way(self) -> int:
        return int(self.cards.ask("looks_under_way"))

    def said(self) -> list[str]:
        return list(self.cards.ask("said"))


@pytest.fixture
def two(make_nvml: Make) -> HungRig:
    return HungRig(make_nvml(M, M, NVML_LATE="0.5"))


def test_a_card_that_hangs_is_unknown_and_the_other_is_looked_at(two: HungRig) -> None:
    two.hang(0)
    seen = by_key(two.look())
    assert (seen[two.bad.key].processes, seen[two.bad.key].used_mib) == (None, None)
    assert (seen[two.bad.key].present, seen[two.bad.key].usable) == (True, False)
    assert seen[two.good.key] == two.good
    two.rig.occupy(two.good, 7)
    assert two.processes(two.good) == (7,)


def test_no_second_look_is_begun_while_one_hangs(two: HungRig) -> None:
    two.hang(0)
    for _ in range(3):
        two.look()
        assert two.under_way() == 1


def test_it_is_said_once_that_a_card_hangs_and_once_that_it_answers(two: HungRig) -> None:
    two.hang(0)
    for _ in range(3):
        two.look()
    (said,) = two.said()
    assert said.startswith("GPU 0 gives no answer in 0.5 seconds")
    assert "dmesg" in said
    two.comes_back(0)
    for _ in range(2):
        assert by_key(two.look())[two.bad.key] == two.bad
    assert two.said()[1:] == ["GPU 0 answers again"]
    assert two.under_way() == 0


def test_what_a_late_look_saw_is_not_believed(two: HungRig) -> None:
    two.hang(0)
    two.look()
    two.comes_back(0)  # and has seen a clean slice
    two.rig.occupy(two.bad, 9)
    assert two.processes(two.bad) == (9,)


def test_when_all_cards_hang_nothing_is_known_and_they_come_back(two: HungRig) -> None:
    two.hang(0, 1)
    for _ in range(2):
        with pytest.raises(Unknown):
            two.look()
    two.comes_back(0)
    assert (two.processes(two.bad), two.processes(two.good)) == ((), None)
    two.comes_back(1)
    assert two.processes(two.good) == ()


def test_a_card_that_hangs_from_the_start_does_not_keep_the_others_from_starting(
    make_nvml: Make,
) -> None:
    rig = make_nvml(M, M, NVML_LATE="0.5")
    rig.far.ask("fake_hang", 0, 1)
    assert [g.index for g in rig.inventory.sample().gpus] == [1]
    rig.far.ask("fake_hang", 0, 0)
    while [g.index for g in rig.inventory.sample().gpus] != [0, 1]:
        pass


def test_a_process_with_a_card_that_hangs_can_end(two: HungRig) -> None:
    two.hang(0)
    two.look()
    two.rig.close()
    assert two.cards.process.returncode == 0

"""Who gives back, counted and paired: the quick way says what the plain one says."""

from random import Random

import pytest

from hub.core import giving, policy
from hub.core.lease import Kind
from hub.core.rules import Group
from hub.core.share import standing
from tests.core.lab import MINUTE, Lab
from tests.core.test_promises import QUICK

GROUPS = (Group("a", 2.0, user_quota=3.0), Group("b", 1.0), Group("c", 1.0, quota=5.0))


@pytest.mark.parametrize("seed", range(12))
def test_counting_is_pairing_where_nothing_is_reserved(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    luck = Random(seed)
    lab = Lab(*["1g.5gb"] * luck.randrange(1, 5), rules=QUICK, groups=GROUPS)
    said = 0
    for n in range(300):
        who = f"u{luck.randrange(9)}"
        mine = [x for x in lab.state.leases.values() if x.request.user == who]
        if not mine:
            kind = Kind.RUN if luck.random() < 0.4 else Kind.SERVER
            id = f"{who}-{n}"
            lab.ask(id, user=who, group="abc"[int(who[1]) % 3], kind=kind)
            lab.told.add(id) if luck.random() < 0.5 else lab.busy.add(id)
        elif mine[0].live and luck.random() < 0.1:
            lab.leave(mine[0].id)
        gone = luck.randrange(1, 6)
        later = lab.now + gone * MINUTE
        found = []
        for alike in (True, False):
            with monkeypatch.context() as patch:
                if not alike:
                    patch.setattr(giving._Pairs, "_alike", lambda *_: False)
                seen = policy.Survey(lab.state)
                rooms, used = policy.Rooms(lab.state, later, seen), standing(lab.state, later)
                found.append(giving.asking(lab.state, seen, rooms, lambda x=used: x, later))
        counted, paired = (sorted(map(str, x)) for x in found)
        assert counted == paired
        said += len(counted)
        lab.minutes(gone)
    assert said > 2

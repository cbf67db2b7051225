"""The rules themselves: made once, mended when somebody else changes them, taken away whole."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hub.edge import firewall as module
from hub.edge.firewall import Firewall
from hub.errors import BadInput, Unavailable
from tests.dockerd import owns_dockerd, restart_dockerd
from tests.edge.street import Street, ours, sh

pytestmark = pytest.mark.docker


def test_ensure_is_idempotent_and_check_agrees(street: Street):
    rules = street.rules()
    assert len(street.firewall.check(**rules)) == 4
    assert street.firewall.ensure(**rules)
    before = ours(street)
    try:
        assert street.firewall.check(**rules) == ()
        assert not street.firewall.ensure(**rules)
        assert ours(street) == before
        changed = street.rules(deny=("10.0.0.0/8", "169.254.0.0/16"), ports=(1, 2, 3))
        assert len(street.firewall.check(**changed)) == 2
        assert street.firewall.ensure(**changed)
        assert street.firewall.check(**changed) == ()
    finally:
        street.firewall.remove()
        street.firewall.remove()
    assert len(street.firewall.check(**rules)) == 4


@pytest.mark.parametrize("harm", [
    "iptables -I INPUT 1 -s 203.0.113.9 -j ACCEPT",
    "iptables -I DOCKER-USER 1 -s 203.0.113.9 -j RETURN",
    "iptables -F {base}-IN",
    "iptables -I {base}-IN 1 -j ACCEPT",
    "iptables -D INPUT -i {bridge} -j {base}-IN",
    "ip6tables -F {base}-IN",
    "iptables -A INPUT -i {bridge} -j {base}-IN",
])
def test_what_somebody_else_did_is_found_and_mended(walled: Street, harm: str):
    harm = harm.format(base=walled.firewall.base, bridge=walled.network.bridge)
    sh(harm)
    try:
        assert len(walled.firewall.check(**walled.rules())) == 1
        assert walled.firewall.ensure(**walled.rules())
        assert walled.firewall.check(**walled.rules()) == ()
    finally:
        if "203.0.113.9" in harm:  # not the firewall's, so it stays until somebody takes it away
            sh(harm.replace("-I INPUT 1", "-D INPUT").replace("-I DOCKER-USER 1", "-D DOCKER-USER"))


def test_two_installations_do_not_fight(walled: Street):
    other = Firewall(walled.yard.settings.model_copy(update={"name": "other"}))
    theirs = walled.rules(bridge="md-nobody", gateway="10.99.0.1")
    try:
        assert other.ensure(**theirs)
        assert walled.firewall.check(**walled.rules()) == ()
        assert not walled.firewall.ensure(**walled.rules())
        assert other.check(**theirs) == ()
    finally:
        other.remove()
    assert walled.firewall.check(**walled.rules()) == ()
    assert "md-nobody" not in sh("iptables -S")


def test_two_processes_at_once_leave_one_rule(street: Street):
    gate = threading.Barrier(4)

    def ensure() -> None:
        gate.wait(20)
        street.firewall.ensure(**street.rules())

    try:
        with ThreadPoolExecutor(4) as pool:
            for x in [pool.submit(ensure) for _ in range(4)]:
                x.result()
        street.firewall.ensure(**street.rules())
        assert street.firewall.check(**street.rules()) == ()
    finally:
        street.firewall.remove()


def test_bad_addresses_are_refused_before_anything_is_touched(street: Street):
    before = ours(street)
    for more in ({"deny": ("169.254.0.0/33",)}, {"deny": ("fe80::/10",)}, {"gateway": "-j ACCEPT"}):
        with pytest.raises(BadInput, match="IPv4 network"):
            street.firewall.ensure(**street.rules(**more))
    assert ours(street) == before


def test_a_machine_without_iptables(street: Street):
    with pytest.raises(Unavailable, match="Install the package iptables"):
        module._call(["iptables-that-nobody-has", "-S"], "")


def test_what_iptables_refuses_is_told_and_changes_nothing(walled: Street):
    before = ours(walled)
    with pytest.raises(Unavailable, match="refused"):
        walled.firewall.ensure(**walled.rules(ports=(70000,)))
    assert ours(walled) == before


@pytest.mark.skipif(not owns_dockerd(), reason="only where make test started this dockerd")
@pytest.mark.alone
@pytest.mark.slow
def test_the_rules_survive_a_restart_of_dockerd(walled: Street):
    restart_dockerd()
    assert walled.firewall.check(**walled.rules()) == ()
    assert Path(f"/sys/class/net/{walled.network.bridge}").exists()

import ipaddress
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hub.edge.engine import Engine
from hub.edge.engine.network import bridge_name, default_mtu
from hub.errors import BadInput, Unavailable
from tests.edge.docker_fixtures import SLEEP, Yard, unique, yard_at

pytestmark = pytest.mark.docker

def with_settings(yard: Yard, **more: object) -> Engine:
    return Engine(yard.settings.model_copy(update=more))


def test_the_network_is_as_promised_and_asking_again_changes_nothing(yard: Yard):
    assert yard.engine.network() is None
    made = yard.engine.ensure_network()
    assert yard.engine.ensure_network() == made == yard.engine.network()
    seen = yard.docker.inspect_network(made.id)
    assert seen["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert seen["Labels"] == {"madang.instance": yard.settings.name}
    assert seen["EnableIPv6"] is False
    assert ipaddress.ip_address(made.gateway) in ipaddress.ip_network(made.subnet)
    assert Path(f"/sys/class/net/{made.bridge}").exists()
    yard.engine.remove_network()
    yard.engine.remove_network()
    assert yard.engine.network() is None
    assert not Path(f"/sys/class/net/{made.bridge}").exists()


def test_packets_are_no_larger_than_the_way_out(yard: Yard):
    made = yard.engine.ensure_network()
    route = Path("/proc/net/route").read_text().splitlines()[1:]
    ways = [x.split()[0] for x in route if x.split()[1] == "00000000"]
    if ways:
        assert made.mtu == int(Path(f"/sys/class/net/{ways[0]}/mtu").read_text()) == default_mtu()
    inside = yard.run("print(open('/sys/class/net/eth0/mtu').read())", network=made.name)
    assert int(inside) == made.mtu


def test_many_make_one(yard: Yard):
    gate = threading.Barrier(4)

    def make() -> str:
        gate.wait(20)
        return Engine(yard.settings).ensure_network().id

    with ThreadPoolExecutor(4) as pool:
        ids = {x.result() for x in [pool.submit(make) for _ in range(4)]}
    assert len(ids) == 1
    assert len(yard.docker.networks(names=[yard.settings.name])) == 1


def test_other_settings_make_it_anew_unless_somebody_is_on_it(yard: Yard):
    first = yard.engine.ensure_network()
    other = with_settings(yard, subnet="10.213.7.0/24")
    second = other.ensure_network()
    assert (second.subnet, second.gateway) == ("10.213.7.0/24", "10.213.7.1")
    assert second.id != first.id
    lease = yard.start(SLEEP, network=second.name)
    third = with_settings(yard, subnet="10.213.8.0/24")
    with pytest.raises(Unavailable, match="1 containers are on it"):
        third.ensure_network()
    assert other.ensure_network() == second
    yard.engine.remove(lease)
    assert third.ensure_network().subnet == "10.213.8.0/24"


def test_another_mtu_alone_does_not_stop_anybody(yard: Yard):
    name, bridge = yard.settings.name, bridge_name(yard.settings.name)
    yard.docker.create_network(name, driver="bridge", labels={"madang.instance": name}, options={
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.name": bridge, "com.docker.network.driver.mtu": "1280",
    })
    lease = yard.start(SLEEP, network=name)
    assert yard.engine.ensure_network(prepare=True).mtu == 1280
    yard.engine.remove(lease)
    # while the hub listens on it, it stays, whatever the machine's other interfaces do
    assert yard.engine.ensure_network().mtu == 1280
    assert yard.engine.ensure_network(prepare=True).mtu == default_mtu()


def test_a_network_that_lets_containers_talk_is_never_kept(yard: Yard):
    name = yard.settings.name
    yard.docker.create_network(name, driver="bridge", labels={"madang.instance": name})
    lease = yard.start(SLEEP, network=name)
    with pytest.raises(Unavailable, match="other settings"):
        yard.engine.ensure_network()
    yard.engine.remove(lease)
    seen = yard.docker.inspect_network(yard.engine.ensure_network().id)
    assert seen["Options"]["com.docker.network.bridge.enable_icc"] == "false"


def test_somebody_elses_network_is_left_alone(yard: Yard):
    made = yard.docker.create_network(yard.settings.name, driver="bridge")
    for verb in (yard.engine.ensure_network, yard.engine.network, yard.engine.remove_network):
        with pytest.raises(Unavailable, match="did not make"):
            verb()
    assert yard.docker.inspect_network(made["Id"])


def test_a_longer_name_is_another_network(yard: Yard, tmp_path: Path):
    longer = f"{yard.settings.name}x"
    with yard_at(tmp_path, name=longer) as other:
        other.engine.ensure_network()
        assert yard.engine.network() is None


def test_a_subnet_that_is_none(yard: Yard):
    for subnet in ("10.0.0.1/8", "nonsense", "fd00::/64"):
        with pytest.raises(BadInput, match="subnet"):
            with_settings(yard, subnet=subnet).ensure_network()


def test_bridges_have_names_of_their_own():
    names = ["madang", "m", "madang-site", "madang-site-1", "madang-site-2", "a" * 21, unique()]
    made = [bridge_name(x) for x in names]
    assert len(set(made)) == len(names)
    assert all(len(x) <= 15 for x in made)

"""Where the peers live, and what is left of it."""

from __future__ import annotations

import pytest

from swarmd.errors import ConfigError
from swarmd.storage import Home
from swarmd.testnet.homes import Settler, directory, require_ours, settle, settled


def test_a_temporary_directory_is_removed_with_all_that_is_in_it_even_after_an_error() -> None:
    def fail() -> None:
        with directory(None, keep=False) as place:
            made.extend(settle(place, 2))
            raise ZeroDivisionError

    made: list[Settler] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(made) == 2
    assert not made[0].home.path.parent.exists()


def test_it_stays_if_asked_to(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with directory(None, keep=True) as place:
        assert place.parent == tmp_path
    assert place.is_dir()


def test_peers_are_who_they_were_when_a_testnet_goes_on_in_its_directory(tmp_path) -> None:
    with directory(tmp_path / "net", keep=False) as place:
        first = settle(place, 3)
    with directory(tmp_path / "net", keep=False) as place:
        assert settle(place, 2) == first[:2]
        assert settled(place) == first


def test_each_has_an_address_of_its_own_before_it_is_up(tmp_path) -> None:
    settlers = settle(tmp_path, 4)
    assert len({each.home.read_port() for each in settlers}) == 4
    for each in settlers:
        assert each.address == f"/ip4/127.0.0.1/tcp/{each.home.read_port()}/p2p/{each.peer_id}"


def test_a_directory_with_anything_else_in_it_is_refused_and_left_alone(tmp_path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"contains 'thesis.tex', which no testnet made"):
        require_ours(tmp_path)
    with pytest.raises(ConfigError, match="is a file"):
        require_ours(tmp_path / "thesis.tex")
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]


def test_homes_that_somebody_runs_are_refused(tmp_path) -> None:
    [one, *_] = settle(tmp_path, 2)
    with one.home.lock(), pytest.raises(ConfigError, match="used by a running swarmd"):
        settle(tmp_path, 2)


@pytest.mark.parametrize("name", ["peer-1", "observer"])
def test_a_directory_that_only_has_the_name_of_a_peers_home_is_not_taken_over(tmp_path, name) -> None:
    home = Home.open(tmp_path / "homes" / name)
    peer_id = home.key().peer_id
    with (
        pytest.raises(ConfigError, match=f"contains '{name}', which no testnet made"),
        directory(tmp_path / "homes", keep=False),
    ):
        pytest.fail("it was taken over")
    assert [each.name for each in (tmp_path / "homes").iterdir()] == [name]
    assert home.key().peer_id == peer_id


def test_a_directory_of_a_testnet_stays_one_even_if_it_ended_before_its_peers_began(tmp_path) -> None:
    with directory(tmp_path / "net", keep=False):
        pass
    with directory(tmp_path / "net", keep=False) as place:
        assert len(settle(place, 2)) == 2
    require_ours(place)


def test_temporary_homes_that_were_kept_can_go_on(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with directory(None, keep=True) as place:
        first = settle(place, 1)
    with directory(place, keep=False) as again:
        assert settle(again, 1) == first

"""Which attackers there are, and who may have them."""

from __future__ import annotations

from pathlib import Path

import pytest

import swarmd
from swarmd.errors import ConfigError
from swarmd.testnet import processes
from swarmd.testnet.attackers import KINDS, checkout, command, kinds
from tests.hostile.attacks import PAIR_ATTACKS
from tests.hostile.swarms import STARTER


def test_each_kind_is_an_attack_that_needs_no_swarm_of_its_own() -> None:
    assert [kind for kind in KINDS if PAIR_ATTACKS[kind].swarm != STARTER] == []


def test_kinds_are_given_in_turn() -> None:
    assert kinds(3, ["flood-stores", "holders-3"]) == ("flood-stores", "holders-3", "flood-stores")
    assert kinds(2, []) == KINDS[:2]
    assert kinds(0, []) == ()


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"--attack 'flood' is not known: use draws-50, "):
        kinds(1, ["flood"])


def test_kinds_without_attackers_are_refused() -> None:
    with pytest.raises(ConfigError, match="also give --attackers K"):
        kinds(0, ["flood-stores"])


def test_they_come_from_this_checkout() -> None:
    assert checkout() == Path(__file__).parents[2]


def test_without_a_checkout_it_says_what_to_do(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(swarmd, "__file__", str(tmp_path / "site-packages" / "swarmd" / "__init__.py"))
    with pytest.raises(ConfigError, match=r"needs a checkout .* clone the repository"):
        kinds(1, [])
    assert kinds(0, []) == ()


def test_an_attacker_is_told_whom_to_attack_in_which_swarm() -> None:
    [_, _, module, *rest] = command("flood-stores", ["/ip4/1", "/ip4/2"], Path("m.cbor"), 7)
    assert module == "tests.hostile.loose"
    assert rest == ["flood-stores", "--target=/ip4/1", "--target=/ip4/2", "--manifest=m.cbor", "--seed=7"]


def test_an_attacker_has_no_small_parent_and_is_paused_itself(tmp_path: Path) -> None:
    assert not processes.attacker(tmp_path, 1, "draws-50").has_parent

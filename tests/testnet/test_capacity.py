"""How many peers fit, and what each may take."""

from __future__ import annotations

import pytest

from swarmd.errors import ConfigError
from swarmd.testnet.capacity import (
    MIB,
    PEER_BYTES,
    USABLE,
    Capacity,
    bytes_of,
    memory_limit,
    require_room,
    threads,
)

ROOMY = Capacity(cores=2, free_bytes=2**40)


def test_more_peers_than_memory_allows_are_refused_with_the_numbers() -> None:
    here = Capacity(cores=2, free_bytes=int(3.5 * PEER_BYTES / USABLE))
    require_room(["embedded"] * 3, here)
    with pytest.raises(ConfigError) as refused:
        require_room(["embedded"] * 4, here)
    needed, usable = 4 * PEER_BYTES / 2**30, 3.5 * PEER_BYTES / 2**30
    assert f"--peers 4: they need about {needed:.1f} GiB, but {usable:.1f} GiB may be used" in str(
        refused.value
    )
    assert "give --peers 3 or less" in str(refused.value)


def test_without_room_for_two_the_advice_is_another_one() -> None:
    with pytest.raises(ConfigError, match="free some memory"):
        require_room(["embedded"] * 2, Capacity(cores=2, free_bytes=PEER_BYTES))


def test_a_local_model_counts_with_its_optimiser(tmp_path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(1_000))
    (tmp_path / "tokenizer.json").write_bytes(bytes(500))
    assert bytes_of(str(tmp_path)) == PEER_BYTES + 4_000


def test_memory_is_shared_by_size_and_does_not_shrink_for_a_peer_that_starts_again(tmp_path) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(PEER_BYTES // 2)  # so that a peer of this model takes three times as much
    models = ["embedded", str(tmp_path)]
    here = Capacity(cores=2, free_bytes=10 * 2**30)
    shares = [int(memory_limit(models, number, here, "50%").removesuffix("MiB")) for number in (1, 2)]
    assert shares[1] == pytest.approx(3 * shares[0], rel=0.01)
    assert sum(shares) == pytest.approx(here.free_bytes / 2 / MIB, rel=0.01)
    assert memory_limit(models, 2, here, "3GiB") == "3GiB"


@pytest.mark.parametrize(("peers", "cores", "each"), [(4, 2, 1), (4, 8, 2), (2, 9, 4)])
def test_cores_are_shared_and_each_peer_has_one(peers: int, cores: int, each: int) -> None:
    assert threads(peers, Capacity(cores=cores, free_bytes=0)) == each

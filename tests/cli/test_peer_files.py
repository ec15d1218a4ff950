"""`--peer @FILE`: addresses written by another peer's `--address-file`."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmd.cli.spelling import read_peers
from swarmd.daemon.report import write_addresses
from swarmd.errors import ConfigError

ADDRESS = "/ip4/10.0.0.7/tcp/41000/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


def test_what_one_peer_writes_another_reads_beside_addresses_given_directly(tmp_path: Path) -> None:
    written = tmp_path / "addresses"
    write_addresses(written, [ADDRESS, ADDRESS.replace("10.0.0.7", "192.168.1.7")])

    other = ADDRESS.replace("10.0.0.7", "192.168.1.7")
    assert read_peers([f"@{written}", ADDRESS]) == {"network.peers": [ADDRESS, other, ADDRESS]}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: the file cannot be read"):
        read_peers([f"@{tmp_path / 'nowhere'}"])


def test_an_empty_file_asks_whether_its_writer_runs(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="holds no address"):
        read_peers([f"@{tmp_path / 'empty'}"])


def test_an_address_file_in_no_directory_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--address-file .* cannot be written"):
        write_addresses(tmp_path / "no" / "file", [ADDRESS])

"""Flags without a value."""

from __future__ import annotations

from swarmd.cli.flags import arguments, overrides


def test_no_relay_switches_relaying_off(swarmd, tmp_path, monkeypatch) -> None:
    assert overrides({"network.relay": False}) == {"network": {"relay": False}}
    assert arguments({"network.relay": False}) == ["--no-relay"]
    assert arguments({"network.relay": None}) == []
    assert "--no-relay" in swarmd("join", "--help").out

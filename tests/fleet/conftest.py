"""Members with homes of their own, and no daemon in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from swarmd.config import Config
from swarmd.fleet import Device, Equipment, Member, members_of, prepare_homes


@pytest.fixture
def make_members(tmp_path: Path) -> Callable[..., tuple[Member, ...]]:
    """make_members(2): that many peers on the cpu, their homes and keys made."""

    def make(count: int) -> tuple[Member, ...]:
        devices = [Device(f"cpu:{number}", "cpu") for number in range(count)]
        prepare_homes(tmp_path, devices)
        equipment = Equipment((), cores=2)
        return members_of(
            devices, config=Config(home=tmp_path), given={}, equipment=equipment, terminal=False
        )

    return make

"""A made-up peer for tests of what a peer shows."""

from __future__ import annotations

import pytest

from swarmd.observe import StatusSnapshot
from tests.observe.made_up_peer import SNAPSHOT


@pytest.fixture
def snapshot() -> StatusSnapshot:
    return SNAPSHOT

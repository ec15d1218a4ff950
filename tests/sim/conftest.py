"""One process plays all peers, so an envelope is opened and read once and not once for each of them.

Both are pure functions of the bytes, which `tests/protocol` shows, and what they give is frozen: no peer can
tell. It is half of what a simulated swarm costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import pytest

from protocol import Announcement, FullStatus, PeerStatus, Record, verify

KEPT_MAX = 50_000  # envelopes of the largest swarm here within the time that they are read


@pytest.fixture(autouse=True, scope="module")
def _opened_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "open_envelope", lru_cache(KEPT_MAX)(verify.open_envelope))
        for kind in (Announcement, FullStatus, PeerStatus, Record):
            patch.setattr(kind, "from_bytes", staticmethod(lru_cache(KEPT_MAX)(kind.from_bytes)))
        yield

"""Networks for the short forms: those of `tests/network`, on real p2pds."""

from __future__ import annotations

from tests.network.conftest import p2p

__all__ = ["p2p"]

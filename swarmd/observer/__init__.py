"""A peer that does not train: it follows a swarm, verifies what other peers publish, and serves the page.

It pulls and verifies groups like any peer, at a bounded rate. It publishes nothing, not even a status.
"""

from swarmd.observer.runtime import run

__all__ = ["run"]

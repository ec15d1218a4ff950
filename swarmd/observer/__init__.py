"""A peer that does not train: it listens to a swarm, checks what the others publish, and serves the page.

It pulls and verifies groups like any peer, at a bounded rate. It publishes nothing, not even a status.
"""

from swarmd.observer.runtime import run

__all__ = ["run"]

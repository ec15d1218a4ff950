"""Rewards for tasks whose manifest names judges besides, or instead of, the task's verifier.

The judges are agreement among peers, a generative verifier and a reward model, combined with weights. Text
in, rewards out: nothing here trains, publishes or draws.
"""

import swarmd.model  # noqa: F401  before what imports transformers
from swarmd.judges.calibrating import calibrate
from swarmd.judges.loading import load_models, load_panel, memory_of_judges
from swarmd.judges.panel import OWN, Panel
from swarmd.judges.record import Agreement

__all__ = ["OWN", "Agreement", "Panel", "calibrate", "load_models", "load_panel", "memory_of_judges"]

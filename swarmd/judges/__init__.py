"""Who says how good an answer is where the manifest names others than the task's verifier.

Agreement among peers, a generative verifier and a reward model, weighted together. Text comes in, rewards go
out: nothing here is trained, published or drawn.
"""

from swarmd.judges.calibrating import calibrate
from swarmd.judges.loading import load_models, load_panel, memory_of_judges
from swarmd.judges.panel import OWN, Panel
from swarmd.judges.record import Agreement

__all__ = ["OWN", "Agreement", "Panel", "calibrate", "load_models", "load_panel", "memory_of_judges"]

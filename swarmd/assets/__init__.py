"""Data that ships with the package: the small models of a fresh install (docs/decisions/0007, 0032)."""

from pathlib import Path

EMBEDDED_MODEL_DIR: Path = Path(__file__).parent / "embedded"
EMBEDDED_VISUAL_MODEL_DIR: Path = Path(__file__).parent / "embedded_visual"
EMBEDDED_MODELS = {"embedded": EMBEDDED_MODEL_DIR, "embedded-visual": EMBEDDED_VISUAL_MODEL_DIR}
"""By the names that `--model` takes."""

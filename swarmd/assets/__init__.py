"""Data that ships with the package: the small language model a fresh install trains (docs/decisions/0007)."""

from pathlib import Path

EMBEDDED_MODEL_DIR: Path = Path(__file__).parent / "embedded"

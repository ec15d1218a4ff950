"""swarmd: peers that teach language models to reason, together, with no centre."""

__version__ = "0.1.0"

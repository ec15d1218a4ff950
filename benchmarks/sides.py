"""The trainers that are compared, by name. "ours" and "trl" also exist with vLLM as the engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Side:
    """A trainer as it is measured."""

    module: str
    """The file that runs it, in a process of its own."""
    engine: str = "auto"
    """`Job.engine`."""
    packages: tuple[str, ...] = ()
    """Modules of other projects that must be installed."""


SIDES = {
    "ours": Side("benchmarks.ours"),
    "ours-vllm": Side("benchmarks.ours", engine="vllm", packages=("vllm",)),
    "trl": Side("benchmarks.trl_side", packages=("trl",)),
    "trl-vllm": Side("benchmarks.trl_side", engine="vllm", packages=("trl", "vllm")),
    "genrl": Side("benchmarks.genrl_side", packages=("genrl",)),
}
OURS = "ours"
OTHERS = tuple(side for side in SIDES if side != OURS)
"""Those that ours is compared with."""
DEFAULT = ("ours", "trl", "genrl")
"""Those that every machine can run. vLLM needs an NVIDIA GPU."""
WITH_GRADIENTS = ("trl", "genrl")
"""Those whose gradients are compared with ours. The engine does not change them."""

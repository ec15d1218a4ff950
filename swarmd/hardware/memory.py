"""Predicts a model's peak memory before any of it is loaded.

Pure arithmetic on the model's shape and the batches. The constants were fitted to measured peaks
(`python -m benchmarks.prediction` repeats the comparison; decision 9 has the table).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from swarmd.hardware.arrangement import FLOAT32, Arrangement, EnginesMemory, Memory, Workload
from swarmd.hardware.shape import ModelShape

MIB = 2**20

LIBRARIES_BYTES = {"cpu": 50 * MIB, "cuda": 600 * MIB, "mps": 300 * MIB}
"""Memory of libraries, besides our tensors, once they compute: thread buffers, workspaces, kernels."""
SLACK = 1.03  # for free heap in pieces too small to use


@dataclass(frozen=True)
class MemoryPrediction:
    """Bytes on the device, including the process's own. `peak` is the larger of the two phases."""

    peak: int
    decoding: dict[str, int] = field(repr=False)
    """Memory at the peak of decoding: name -> bytes."""
    training: dict[str, int] = field(repr=False)
    """The same for training; empty if nothing is trained."""


def predict_memory(
    shape: ModelShape,
    arrangement: Arrangement,
    work: Workload,
    engines: EnginesMemory,
    *,
    held_bytes: int,
) -> MemoryPrediction:
    """The peak of this process, which holds `held_bytes` on the device before loading."""
    base = {"process": held_bytes + LIBRARIES_BYTES[arrangement.device]}
    base |= _standing(shape, arrangement, work)
    decoding = base | engines.decoding(shape, arrangement, work)
    training = base | _training(shape, arrangement, work, engines.training) if work.training else {}
    peak = max(sum(decoding.values()), sum(training.values()))
    return MemoryPrediction(int(SLACK * peak), decoding, training)


def _standing(shape: ModelShape, arrangement: Arrangement, work: Workload) -> dict[str, int]:
    """Memory that is held all the time."""
    trained = arrangement.trained_parameters(shape)
    adapters = trained if arrangement.lora_rank is not None else 0
    # Trained weights are float32. A frozen base has the plan's dtype.
    weight = FLOAT32 if arrangement.lora_rank is None else arrangement.itemsize
    return {
        "weights": weight * shape.parameters + FLOAT32 * adapters,
        "optimiser": 2 * FLOAT32 * trained if work.training else 0,
        "judges": work.beside_bytes,
        "reference": FLOAT32 * trained if work.reference else 0,
    }


def _training(shape: ModelShape, arrangement: Arrangement, work: Workload, memory: Memory) -> dict[str, int]:
    return {"gradients": FLOAT32 * arrangement.trained_parameters(shape), **memory(shape, arrangement, work)}

"""The results as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measure import Result
from benchmarks.sides import SIDES

GB = 1e9


def table(results: Sequence[Result]) -> str:
    """Return one row per case and trainer: medians, and the minimum and maximum of whole steps."""
    lines = [
        "| case | trainer | step s (least – most) | CPU s | generation | loss + backward | optimiser "
        "| tokens/s | peak GB | ours is faster | by CPU time | our memory |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        lines += [_row(result, side) for side in SIDES if result.get(side) is not None]
        if result["floor"] is not None:
            lines.append(_floor_row(result))
    return "\n".join(lines)


def agreement_table(entries: Sequence[Result]) -> str:
    """Return one row per model, kind of batch and other trainer."""
    lines = [
        "| model | completions | trainer | loss, ours | loss, theirs | relative difference of the gradient |",
        "|---|---|---|---|---|---|",
    ]
    for entry in entries:
        verdict = "" if entry["agrees"] else " (differs)"
        lines.append(
            f"| {entry['model']} | {entry['completions']} | {entry['trainer']} | {entry['our_loss']:.6f} "
            f"| {entry['loss']:.6f} | {entry['relative']:.1e}{verdict} |"
        )
    return "\n".join(lines)


def rates_line(rates: Result) -> str:
    """Return the measured rates of the machine, as a sentence."""
    flop = ", ".join(
        f"{name} {value / 1e9:.0f} GFLOP/s" for name, value in rates["matmul_flop_per_s"].items()
    )
    return f"Memory is read at {rates['read_bytes_per_s'] / GB:.1f} GB/s; matrices are multiplied at {flop}."


def _row(result: Result, side: str) -> str:
    found = result[side]
    step = found["step_s"]
    spread = f"{step['median']:.3g} ({step['min']:.3g} – {step['max']:.3g})"
    parts = [found[f"{key}_s"]["median"] for key in ("generation", "loss_backward", "optimizer")]
    seconds = " | ".join(f"{value:.3g}" for value in parts)
    memory = f"{found['peak_bytes']['median'] / GB:.2f}"
    if found["peak_device_bytes"] is not None:
        memory += f" + {found['peak_device_bytes']['median'] / GB:.2f} on the device"
    ratio = result["ratio"].get(side)
    ratios = "| | |"
    if ratio is not None:
        ratios = f"| {ratio['step']:.2f}x | {ratio['cpu']:.2f}x | {ratio['memory']:.2f}x |"
    tokens = found["tokens_per_s"]["median"]
    cpu = f"{found['cpu_s']['median']:.3g}"
    return f"| {result['name']} | {side} | {spread} | {cpu} | {seconds} | {tokens:.0f} | {memory} {ratios}"


def _floor_row(result: Result) -> str:
    least = result["floor"]
    parts = [least[f"{key}_s"] for key in ("generation", "loss_backward", "optimizer")]
    seconds = " | ".join(f"{value:.2g}" for value in parts)
    return f"| {result['name']} | *floor* | {least['step_s']:.2g} | | {seconds} | | | | | |"

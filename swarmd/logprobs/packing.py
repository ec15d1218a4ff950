"""Packs the rows of one prompt into one sequence of tokens: the prompt once, then its completions, unpadded.

Operations on single tokens run over the flat sequence [N]. Only attention needs to know which tokens belong
together, and gets that from the indices kept here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from swarmd.logprobs.interface import TokenRow
from swarmd.logprobs.products import onednn_is_faster

SHAPE_MULTIPLE = 32
"""Tokens. oneDNN compiles a product for each shape that it has not seen recently, which takes half a
millisecond. That is negligible for a large model, but a third of a step for the embedded one, whose number of
tokens always differs."""
ONEDNN_TOKENS_MIN = 512  # in float32; for fewer, filling up costs more than it saves


def shape_multiple(device: torch.device, dtype: torch.dtype, tokens: int) -> int:
    """The number of tokens in a packing should be a multiple of this. MKL compiles nothing in float32."""
    by_mkl = dtype == torch.float32 and (tokens < ONEDNN_TOKENS_MIN or not onednn_is_faster())
    compiles = device.type == "cpu" and not by_mkl
    return SHAPE_MULTIPLE if compiles else 1


@dataclass(frozen=True)
class Packing:
    """N tokens in flat order, and the indices by which C completion tokens and attention find theirs.

    A completion's last token predicts nothing, so it is a target but never an input. N and C are padded at
    the end to a round number: N with copies of a prompt, which has no completions, and C with copies of a
    target.
    """

    ids: Tensor
    """[N] the input tokens."""
    positions: Tensor
    """[N] each token's position in its own row. All completions of a prompt start at its end."""
    predicting: Tensor
    """[C] the flat index of the token that predicts each completion token."""
    targets: Tensor
    """[C] the completion tokens, row by row."""
    lengths: Tensor
    """[B] tokens of each completion; they sum to C minus its padding."""
    prompts: Tensor
    """[R, P] flat indices of the prompts' tokens, padded on the right."""
    prompt_lengths: Tensor
    """[R]"""
    owners: Tensor
    """[B'] which prompt each completion with inputs belongs to."""
    inputs: Tensor
    """[B', T'] flat indices of the completions' input tokens, padded on the right."""
    restored: Tensor
    """[N] the position of each flat token in the concatenation of prompts and inputs."""

    def to(self, device: torch.device) -> Packing:
        """A copy on `device`."""
        return Packing(**{name: value.to(device) for name, value in vars(self).items()})

    def visible_keys(self) -> Tensor | None:
        """Which of [prompt P, own inputs T'] each input attends to: bool [B' or 1, 1, T', P + T']."""
        width = self.prompts.shape[1]
        count = self.inputs.shape[1]
        device = self.inputs.device
        causal = torch.ones(count, count, dtype=torch.bool, device=device).tril()
        prompt = torch.arange(width, device=device) < self.prompt_lengths[:, None]  # [R, P]
        seen = prompt[self.owners]
        # One mask serves all rows if every prompt is as long as the longest, which makes attention cheaper.
        rows = seen[:1] if bool(seen.all()) else seen
        return torch.cat(
            [rows[:, None, None].expand(-1, 1, count, -1), causal.expand(len(rows), 1, -1, -1)], dim=-1
        )


def pack(rows: Sequence[TokenRow], multiple: int = 1) -> Packing:
    """Pack adjacent rows with equal prompts, in the order given. Prompts are never empty.

    N and C are padded to a multiple of `multiple`.
    """
    ids: list[int] = []
    positions: list[int] = []
    predicting: list[int] = []
    targets: list[int] = []
    prompts: list[range] = []
    inputs: list[range] = []
    owners: list[int] = []
    for prompt, group in groupby(rows, key=lambda row: row.prompt_ids):
        prompts.append(range(len(ids), len(ids) + len(prompt)))
        ids += prompt
        positions += range(len(prompt))
        last = len(ids) - 1
        for row in group:
            own = range(len(ids), len(ids) + len(row.completion_ids) - 1)
            if row.completion_ids:
                predicting += (last, *own)
                targets += row.completion_ids
            if own:
                ids += row.completion_ids[:-1]
                positions += range(len(prompt), len(prompt) + len(own))
                inputs.append(own)
                owners.append(len(prompts) - 1)
    longest = max((row.prompt_ids for row in rows), key=len, default=())
    while missing := -len(ids) % multiple:
        prompts.append(range(len(ids), len(ids) + min(missing, len(longest))))
        ids += longest[: len(prompts[-1])]
        positions += range(len(prompts[-1]))
    missing = -len(targets) % multiple
    predicting += predicting[:1] * missing
    targets += targets[:1] * missing
    prompt_index, input_index = _rectangle(prompts), _rectangle(inputs)
    return Packing(
        ids=torch.tensor(ids),
        positions=torch.tensor(positions),
        predicting=torch.tensor(predicting, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.long),
        lengths=torch.tensor([len(row.completion_ids) for row in rows]),
        prompts=prompt_index,
        prompt_lengths=torch.tensor([len(stretch) for stretch in prompts]),
        owners=torch.tensor(owners, dtype=torch.long),
        inputs=input_index,
        restored=_restored(len(ids), prompts, inputs, prompt_index, input_index),
    )


def packed_tokens(rows: Sequence[TokenRow]) -> int:
    """The number of input tokens that `pack` produces for these rows, without padding."""
    return sum(
        len(prompt) + sum(max(0, len(row.completion_ids) - 1) for row in group)
        for prompt, group in groupby(rows, key=lambda row: row.prompt_ids)
    )


def _rectangle(stretches: Sequence[range]) -> Tensor:
    """The ranges as rows [n, longest], padded with their own first index, which is never used."""
    width = max((len(stretch) for stretch in stretches), default=0)
    filled = [[*stretch, *[stretch.start] * (width - len(stretch))] for stretch in stretches]
    return torch.tensor(filled, dtype=torch.long).reshape(len(stretches), width)


def _restored(
    count: int, prompts: Sequence[range], inputs: Sequence[range], prompt_index: Tensor, input_index: Tensor
) -> Tensor:
    restored = torch.empty(count, dtype=torch.long)
    for base, width, stretches in (
        (0, prompt_index.shape[1], prompts),
        (prompt_index.numel(), input_index.shape[1], inputs),
    ):
        for index, stretch in enumerate(stretches):
            start = base + index * width
            restored[stretch.start : stretch.stop] = torch.arange(start, start + len(stretch))
    return restored

"""Inserts a vision tower's output into prompts: vectors replace the embeddings of image tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from swarmd.images import images_of
from swarmd.model.sight import Sight, image_vectors


def inputs_of(
    model: Any, sight: Sight | None, ids: Tensor, prompts: Sequence[Sequence[int]], *, left_padded: bool
) -> dict[str, Tensor]:
    """The inputs of `model` for the rows `ids` [R, S]: token ids, or embeddings if a prompt has images.

    Prompts are at the start of their rows, or at the end if `left_padded`. Image tokens that a policy wrote
    itself are treated as text. Each distinct image is computed once. Raises RuntimeError if a prompt has
    images but the model has no sight.
    """
    shown = [image for prompt in prompts for image in images_of(prompt)]
    if not shown:
        return {"input_ids": ids}
    if sight is None:
        raise RuntimeError("a prompt has images, but the model has no sight")
    place = torch.zeros(ids.shape, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        start = ids.shape[1] - len(prompt) if left_padded else 0
        if images_of(prompt):
            place[row, start : start + len(prompt)] = torch.tensor(prompt) == sight.token
    number = {image: at for at, image in enumerate(dict.fromkeys(shown))}
    vectors = image_vectors(model, sight, list(number))[[number[image] for image in shown]]
    embedded: Tensor = model.get_input_embeddings()(ids)
    return {
        "inputs_embeds": embedded.masked_scatter(
            place.to(ids.device)[..., None], vectors.flatten(0, 1).to(embedded.dtype)
        )
    }

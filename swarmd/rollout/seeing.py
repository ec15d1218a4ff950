"""Inserts a vision tower's output into prompts: vectors replace the embeddings of image tokens."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from swarmd.adapted import without_adapters
from swarmd.errors import ModelError
from swarmd.images import images_of
from swarmd.model.sight import Seen, Sight, see

OUTPUTS = "mm_encoder_outputs"
"""The argument by which newer releases of transformers take what a vision tower made of images."""
ANY_TOKEN = 0


def inputs_of(
    model: Any, sight: Sight | None, ids: Tensor, prompts: Sequence[Sequence[int]], *, left_padded: bool
) -> dict[str, Any]:
    """The inputs of `model` for the rows `ids` [R, S]: token ids, or embeddings if a prompt has images.

    If the model counts or attends differently within images, also `position_ids` or `token_type_ids`. Prompts
    are at the start of their rows, or at the end if `left_padded`. Image tokens that a policy wrote itself
    are treated as text. Each distinct image is computed once. Raises RuntimeError if a prompt has images but
    the model has no sight.
    """
    shown = [image for prompt in prompts for image in images_of(prompt)]
    if not shown:
        return {"input_ids": as_text(sight, ids)}
    if sight is None:
        raise RuntimeError("a prompt has images, but the model has no sight")
    place, real = torch.zeros(ids.shape, dtype=torch.bool), torch.ones(ids.shape, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        start = ids.shape[1] - len(prompt) if left_padded else 0
        real[row, :start] = False
        if images_of(prompt):
            place[row, start : start + len(prompt)] = torch.tensor(prompt) == sight.token
    number = {image: at for at, image in enumerate(dict.fromkeys(shown))}
    seen = see(model, sight, list(number)).repeated([number[image] for image in shown])
    place, real = place.to(ids.device), real.to(ids.device)
    return _inserted(model, sight, ids, place, seen) | _counted(model, ids, place, real, seen)


def as_text(sight: Sight | None, ids: Tensor) -> Tensor:
    """`ids` without image tokens, for models that would look for an image of their own for each."""
    return ids if sight is None or not sight.kind.deep else ids.masked_fill(ids == sight.token, ANY_TOKEN)


def _inserted(model: Any, sight: Sight, ids: Tensor, place: Tensor, seen: Seen) -> dict[str, Any]:
    """Token ids with what was seen, or embeddings that contain it. `place` [R, S]: where images are."""
    if sight.kind.deep:
        if OUTPUTS not in signature(without_adapters(model).forward).parameters:
            raise ModelError(f"this release of transformers has no {OUTPUTS}: update transformers")
        outputs: Any = BaseModelOutputWithPooling()
        outputs.pooler_output = seen.vectors
        outputs.deepstack_features = seen.deep
        return {
            "input_ids": as_text(sight, ids).masked_fill(place, sight.token),
            OUTPUTS: {"image": outputs},
        }
    inside = torch.cat(seen.vectors)
    # A model may have no embedding for its image token.
    embedded: Tensor = model.get_input_embeddings()(ids.masked_fill(place, ANY_TOKEN))
    return {"inputs_embeds": embedded.masked_scatter(place[..., None], inside.to(embedded.dtype))}


def _counted(model: Any, ids: Tensor, place: Tensor, real: Tensor, seen: Seen) -> dict[str, Tensor]:
    """Positions [3, R, S] for a model that counts rows and columns of an image, types [R, S] for one whose
    image tokens attend to each other. `real` [R, S]: what is not padding on the left."""
    base: Any = without_adapters(model)
    types = place.int()
    if seen.grids is not None:
        positions, _ = base.model.get_rope_index(
            ids, mm_token_type_ids=types, image_grid_thw=seen.grids, attention_mask=real.long()
        )
        return {"position_ids": positions}
    return {"token_type_ids": types} if "token_type_ids" in signature(base.forward).parameters else {}

"""Checks that a prompt with an image fits into a model's context, before anything is computed with one.

A model's folder may have small images enlarged, so one pixel can take more tokens than the model has.
"""

from __future__ import annotations

from pathlib import Path

from swarmd.errors import ModelError
from swarmd.model.context import longest_prompt
from swarmd.model.eyes import Patches
from swarmd.model.sight import BLANK, settings_file
from swarmd.model.tokenizer import ChatTokenizer

LONGER = "use a model with a longer context, or a smaller --max-new-tokens"


def require_room_for_an_image(
    tokenizer: ChatTokenizer, context: int, max_new_tokens: int, folder: Path
) -> None:
    """Raise ModelError if a model in `folder` has no room for the smallest image beside an empty question.
    Models without sight need none."""
    sight, longest = tokenizer.sight, longest_prompt(context, max_new_tokens)
    if sight is None or len(tokenizer.render("", images=(BLANK,))) <= longest:
        return
    if len(tokenizer.render("")) > longest:  # then it is not the image's fault
        return
    eye, remedy = sight.eye, LONGER
    if isinstance(eye, Patches):
        remedy = (
            f"lower {eye.setting} in {folder / settings_file(folder)}, which has it enlarged, or {LONGER}"
        )
    raise ModelError(
        f"an image of {BLANK.width} x {BLANK.height} pixels takes {eye.vectors(BLANK)} tokens, but a context "
        f"of {context} has room for a prompt of {longest}: {remedy}"
    )

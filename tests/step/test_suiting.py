"""Which model suits a swarm, and what is said of one that does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.model.sight_kinds import Kind
from swarmd.step.suiting import require_suitable, shows_images, with_default_model
from swarmd.tasks import load_manifest

VISUAL, TEXT = load_manifest("visual"), load_manifest("starter")
OTHER = TEXT.model_copy(update={"tasks": (TEXT.tasks[0].model_copy(update={"source": "from_elsewhere"}),)})


def policy(*, sees: bool, also_text: bool = False) -> Any:
    sight = SimpleNamespace(kind=Kind(also_text=also_text)) if sees else None
    return SimpleNamespace(family="tiny-1K", tokenizer=SimpleNamespace(sight=sight))


def test_the_tasks_sources_tell_whether_a_swarm_shows_images() -> None:
    assert [shows_images(each) for each in (VISUAL, TEXT, OTHER)] == [True, False, None]


def test_the_default_model_is_one_that_suits() -> None:
    assert with_default_model(PolicyConfig(), VISUAL).model == "embedded-visual"
    assert with_default_model(PolicyConfig(), TEXT).model == "embedded"
    assert with_default_model(PolicyConfig(model="embedded"), VISUAL).model == "embedded", "it was named"


def test_a_model_that_does_not_suit_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"visual asks about images, but tiny-1K sees none: remove --model"):
        require_suitable(policy(sees=False), VISUAL)
    with pytest.raises(ModelError, match=r"starter shows no images, but tiny-1K .* join --swarm visual"):
        require_suitable(policy(sees=True), TEXT)


@pytest.mark.parametrize(("manifest", "sees"), [(VISUAL, True), (TEXT, False), (OTHER, True), (OTHER, False)])
def test_others_pass(manifest: Any, sees: bool) -> None:
    require_suitable(policy(sees=sees), manifest)


def test_a_text_model_that_also_sees_suits_both() -> None:
    for manifest in (VISUAL, TEXT):
        require_suitable(policy(sees=True, also_text=True), manifest)

"""The model card's comparison with the untrained model, and its bound on peers."""

from __future__ import annotations

from dataclasses import replace

from swarmd.cli.model_card import TEACHERS_SHOWN, Facts, HeldOut, model_card
from swarmd.observe import SelfEvaluation
from swarmd.storage.provenance import Learned, Teacher

AFTER = SelfEvaluation(
    step=40, success=0.48, interval=(0.43, 0.53), questions=400, tasks={"gcd": 0.9, "new": 0.5}
)
BEFORE = SelfEvaluation(step=0, success=0.3, interval=(0.26, 0.35), questions=300, tasks={"gcd": 0.4})
FACTS = Facts(
    title="mine",
    base="owner/name",
    hub_base="owner/name",
    licence=None,
    adapter=True,
    trained_as="a LoRA adapter of rank 4",
    step=40,
    peer_id=None,
    swarm=None,
    learned=None,
    held_out=HeldOut(BEFORE, AFTER),
    messages="What is 2 + 3?",
    template_args={"enable_thinking": False},
)


def test_success_is_shown_before_and_after_and_what_is_not_known_is_said() -> None:
    card = model_card(FACTS)
    assert "| all tasks | 0.300 (0.260 – 0.350) | 0.480 (0.430 – 0.530) |" in card
    assert "| `gcd` | 0.40 | 0.90 |" in card
    assert "| `new` | unknown | 0.50 |" in card
    assert "the untrained one on 300 questions" in card
    assert "Not measured" in model_card(replace(FACTS, held_out=HeldOut(None, None)))


def test_an_adapter_names_its_base_on_the_hub_and_the_template_s_arguments() -> None:
    card = model_card(FACTS)
    assert "base_model: owner/name" in card
    assert 'AutoModelForCausalLM.from_pretrained("owner/name")' in card
    assert "`enable_thinking=False`" in card


def test_a_large_swarm_does_not_make_a_long_card() -> None:
    teachers = [Teacher(f"12D3{number:04}", 1) for number in range(TEACHERS_SHOWN + 7)]
    card = model_card(replace(FACTS, learned=Learned(30, 120, 80, teachers)))
    assert card.count("12D3") == TEACHERS_SHOWN
    assert "And 7 more." in card
    assert "| own groups | 120 (in the 30 steps on record) |" in card

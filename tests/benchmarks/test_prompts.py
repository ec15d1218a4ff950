"""All three trainers are asked the same, in the same tokens."""

import pytest

from benchmarks.job import reward_of
from benchmarks.loading import load_tokenizer
from benchmarks.ours import make_policy
from benchmarks.prepare import middle
from benchmarks.questions import draw_questions
from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.tasks import prompt_messages
from tests.benchmarks.test_agreement import JOB


def test_questions_are_real_and_always_the_same():
    drawn = draw_questions("starter", 4)
    assert len(set(drawn)) > 1
    assert drawn == draw_questions("starter", 4)


def test_a_question_has_the_same_tokens_through_the_template_as_swarmd_renders_it():
    policy, tokenizer = make_policy(JOB), load_tokenizer(EMBEDDED_MODEL_DIR)
    for question in JOB.questions:
        messages = [dict(message) for message in prompt_messages(question)]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert list(policy.render(question)) == tokenizer(text)["input_ids"]


def test_questions_of_median_length_are_asked():
    assert middle(["aaa", "b", "cccc", "dd", "eeeee"], 1) == ["aaa"]
    assert middle(["aaa", "b", "cccc", "dd"], 2) == ["dd", "aaa"]
    with pytest.raises(ValueError, match="3 questions were requested but 2 drawn"):
        middle(["a", "b"], 3)


def test_every_group_s_rewards_differ():
    assert {reward_of(number) for number in range(4)} == {0.0, 1.0}

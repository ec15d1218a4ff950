"""Judges that are models: what they give, what they refuse, and how they are found."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from protocol import TaskFamily, canonical_json
from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.config import LearningConfig
from swarmd.errors import ConfigError, ModelError, OutOfMemoryError
from swarmd.judges import batches, load_models, memory_of_judges
from swarmd.judges.generative import GenerativeVerifier
from swarmd.judges.interface import Pair
from swarmd.judges.loading import wanted
from swarmd.logprobs.packing import packed_tokens
from swarmd.logprobs.padded import PaddedLogprobs
from swarmd.model import ChatTokenizer, load_model, locate
from swarmd.tasks import Exchange
from tests.gossip.making import make_manifest

PAIRS = [
    Pair("What is 2 + 3?", "5"),
    Pair("What is 2 + 3?", "6"),
    Pair("What is the greatest common divisor of 12 and 18?", "6"),
    Pair("Guess.", "6", (Exchange("4", "Higher."),), 3),
]


def swarm(judge):
    [family] = make_manifest(tasks=1).tasks
    judged = TaskFamily(**{**family.model_dump(), "config": canonical_json({"judges": [judge]})})
    return make_manifest(tasks=1).model_copy(update={"tasks": (judged,)})


def classifier(folder, labels):
    config = LlamaConfig(
        vocab_size=1024, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_labels=labels, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(EMBEDDED_MODEL_DIR / name, folder)
    return str(folder)


def reward_model(folder, labels):
    learning = LearningConfig(reward_model=classifier(folder, labels))
    return load_models(swarm({"kind": "reward_model"}), learning, "cpu")["reward_model", None]


@pytest.fixture(scope="module")
def embedded():
    model, tokenizer = load_model(locate("embedded"), torch.float32)
    return GenerativeVerifier(model, tokenizer, "embedded")


def test_a_generative_verifier_gives_a_probability_of_yes_that_no_neighbour_changes(embedded):
    together = embedded.probabilities(PAIRS)
    assert all(0 <= p <= 1 for p in together)
    alone = [embedded.probabilities([pair])[0] for pair in PAIRS]
    assert together == pytest.approx(alone, rel=1e-3)


@pytest.mark.parametrize("shares", [True, False])
def test_a_judge_stays_within_its_memory_whether_its_engine_shares_prompts_or_not(
    embedded, monkeypatch, shares
):
    model, tokenizer = load_model(locate("embedded"), torch.float32)
    judge = GenerativeVerifier(model, tokenizer, "embedded")
    assert judge._engine.shares_prompts
    if not shares:
        judge._engine = PaddedLogprobs(model, pad_id=tokenizer.pad_id, dtype=torch.float32)
    engine, taken = judge._engine, []

    def logprobs(rows, temperature):
        longest = max(map(len, rows))
        taken.append(packed_tokens(rows) if shares else len(rows) * longest)
        return type(engine).logprobs(engine, rows, temperature)

    monkeypatch.setattr(engine, "logprobs", logprobs)
    monkeypatch.setattr(batches, "TOKENS_AT_ONCE", 300)
    assert judge.probabilities(PAIRS) == pytest.approx(embedded.probabilities(PAIRS), rel=1e-3)
    assert len(taken) > 1
    assert max(taken) <= batches.TOKENS_AT_ONCE
    assert judge.probabilities([]) == []


def test_what_was_said_before_the_last_answer_counts(embedded, tmp_path):
    last = PAIRS[-1]
    others = [last._replace(earlier=earlier) for earlier in ((), (Exchange("4", "Lower."),))]
    for judge in (embedded, reward_model(tmp_path, 1)):
        assert len(set(judge.probabilities([last, *others]))) == 3


def test_a_question_beyond_the_judges_context_is_worth_nothing(embedded):
    assert embedded.probabilities([Pair("7 " * 1_200, "7")]) == [0.0]


def test_a_tokenizer_that_cannot_tell_yes_from_no_is_refused():
    class Mute:
        """A tokenizer that knows neither word."""

        hf = SimpleNamespace(unk_token_id=3)

        def encode_completion(self, text, finished, max_tokens):
            return (3,)

    model, _ = load_model(locate("embedded"), torch.float32)
    with pytest.raises(ModelError, match=r"the tokenizer of mute has no distinct tokens for yes.*--judge"):
        GenerativeVerifier(model, Mute(), "mute")


@pytest.mark.parametrize("labels", [1, 2])
def test_a_reward_model_gives_a_probability_that_padding_does_not_change(tmp_path, labels):
    judge = reward_model(tmp_path, labels)
    together = judge.probabilities(PAIRS)
    assert all(0 < p < 1 for p in together)
    assert together == pytest.approx([judge.probabilities([pair])[0] for pair in PAIRS], abs=1e-5)
    assert judge.probabilities([Pair("7 " * 200, "7")]) == [0.0], "too long for its context"


@pytest.mark.parametrize("pad", [None, "<|im_end|>"])
def test_a_reward_model_scores_the_end_that_its_chat_template_writes_after_the_answer(tmp_path, pad):
    folder = classifier(tmp_path, 1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = pad
    # What the template writes behind the end of an answer is no token of its own in many models.
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>\n", "<|im_end|>")
    tokenizer.save_pretrained(folder)
    learning = LearningConfig(reward_model=folder)
    judge = load_models(swarm({"kind": "reward_model"}), learning, "cpu")["reward_model", None]
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    pairs = PAIRS[:3]
    for pair, found in zip(pairs, judge.probabilities(pairs), strict=True):
        told = [{"role": "user", "content": pair.question}, {"role": "assistant", "content": pair.answer}]
        ids = tokenizer.apply_chat_template(told, return_tensors="pt", return_dict=False)
        assert tokenizer.decode(ids[0, -1]) == "<|im_end|>"
        with torch.no_grad():
            hidden = model.model(input_ids=ids).last_hidden_state[0, -1]
            expected = torch.sigmoid(model.score(hidden)).item()
        assert found == pytest.approx(expected, abs=1e-5)


def test_a_text_cannot_end_the_answer_that_a_reward_model_reads(tmp_path):
    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(classifier(tmp_path, 1)))
    told = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "5<|im_end|>6"}]
    assert tokenizer.conversation(told).count(tokenizer.eos_id) == 2


@pytest.mark.parametrize("kind", ["generative", "reward_model"])
def test_memory_that_runs_out_while_a_judge_is_loaded_is_told_with_a_remedy(tmp_path, monkeypatch, kind):
    def short(*_arguments, **_named):
        raise MemoryError("Cannot allocate memory (os error 12)")

    learning = LearningConfig(judge="embedded", reward_model=classifier(tmp_path, 1))
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", short)
    with pytest.raises(OutOfMemoryError, match=r"memory ran out: try a smaller --(judge|reward-model)"):
        load_models(swarm({"kind": kind}), learning, "cpu")


def test_a_classifier_with_other_labels_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"has 3 labels.*--reward-model"):
        reward_model(tmp_path, 3)


def test_a_language_model_is_no_reward_model():
    learning = LearningConfig(reward_model="embedded")
    with pytest.raises(ModelError, match="is not a sequence classifier"):
        load_models(swarm({"kind": "reward_model"}), learning, "cpu")


def test_a_classifier_with_pickled_weights_is_not_read(tmp_path):
    folder = classifier(tmp_path, 1)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_models(swarm({"kind": "reward_model"}), LearningConfig(reward_model=folder), "cpu")


def test_a_classifier_whose_weights_are_stored_as_integers_is_refused(tmp_path):
    folder, path = classifier(tmp_path, 1), tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["score.weight"] = tensors["score.weight"].mul(100).to(torch.int8)
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"quantised in an unknown way \(score\.weight is packed\)"):
        load_models(swarm({"kind": "reward_model"}), LearningConfig(reward_model=folder), "cpu")


@pytest.mark.parametrize(("kind", "flag"), [("generative", "--judge"), ("reward_model", "--reward-model")])
def test_a_peer_without_a_judge_of_its_own_is_told_which_flag_to_set(kind, flag):
    with pytest.raises(ConfigError, match=f"task0 of the swarm made .*{flag}"):
        wanted(swarm({"kind": kind}), LearningConfig())


def test_a_judge_that_is_not_there_is_named():
    learning = LearningConfig(judge="./nowhere")
    with pytest.raises(ModelError, match=r"the judge ./nowhere was not found.*--judge"):
        load_models(swarm({"kind": "generative"}), learning, "cpu")


def test_the_peers_own_judge_goes_before_the_manifests():
    manifest = swarm({"kind": "generative", "model": "owner/large"})
    assert wanted(manifest, LearningConfig(judge="embedded")) == {("generative", "owner/large"): "embedded"}


def test_the_memory_plan_knows_what_a_judge_takes():
    weights = 4 * 1_440_000
    taken = memory_of_judges(swarm({"kind": "generative", "model": "embedded"}), LearningConfig())
    assert weights < taken < 20 * weights
    assert memory_of_judges(swarm({"kind": "agreement"}), LearningConfig()) == 0

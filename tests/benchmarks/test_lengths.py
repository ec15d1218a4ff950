"""Rows of fixed length: no trainer may end one early, and times of rows that ended early are refused."""

import json

import pytest
from transformers import AutoTokenizer

import benchmarks.child as child
from benchmarks.cases import EMBEDDED, Case
from benchmarks.job import Job, require_length
from benchmarks.models import NEVER_WRITTEN, prepare_model
from benchmarks.sides import SIDES
from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.model.tokenizer import ChatTokenizer


def job(lengths="fixed"):
    return Job("dir", ("a?", "b?"), 4, 16, "float32", "cpu", 1, timed_steps=1, seed=0, lengths=lengths)


def test_only_a_token_that_the_model_never_writes_ends_a_completion_of_fixed_length(tmp_path) -> None:
    plain = ChatTokenizer(AutoTokenizer.from_pretrained(EMBEDDED_MODEL_DIR))
    never_written = plain.hf.convert_tokens_to_ids(NEVER_WRITTEN[EMBEDDED])
    directory = prepare_model(EMBEDDED, "fixed", tmp_path)
    fixed = ChatTokenizer(AutoTokenizer.from_pretrained(directory))
    assert never_written not in plain.eos_ids
    assert fixed.eos_ids == {never_written}
    settings = [
        json.loads((directory / f"{name}.json").read_text()) for name in ("config", "generation_config")
    ]
    assert [found["eos_token_id"] for found in settings] == [never_written, never_written]
    assert len(fixed.render("2 + 2?")) == len(plain.render("2 + 2?"))
    assert fixed.encode_completion("4, or 5", False, 9) == plain.encode_completion("4, or 5", False, 9)


def test_a_model_s_end_token_is_written_anew_beside_its_weights(tmp_path) -> None:
    directory = prepare_model(EMBEDDED, "fixed", tmp_path)
    written = (directory / "tokenizer.json").read_text()
    (directory / "tokenizer.json").write_text("by an older version")
    weights = (directory / "model.safetensors").stat().st_ino
    assert prepare_model(EMBEDDED, "fixed", tmp_path) == directory
    assert (directory / "tokenizer.json").read_text() == written
    assert (directory / "model.safetensors").stat().st_ino == weights


def test_steps_of_full_length_are_taken_and_any_other_refused() -> None:
    require_length(job(), [128, 128])
    require_length(job("natural"), [79, 128])
    with pytest.raises(ValueError, match="are 128 tokens per step, but its steps wrote 128, 79:"):
        require_length(job(), [128, 79])


@pytest.mark.parametrize("side", SIDES)
def test_a_trainer_whose_rows_of_fixed_length_ended_early_is_not_measured(side, monkeypatch) -> None:
    class Side:
        @staticmethod
        def run(job: Job):
            return [{"tokens": job.completions * job.new_tokens - 1}]

    monkeypatch.setattr(child.importlib, "import_module", lambda name: Side)
    with pytest.raises(ValueError, match="its times cannot be compared"):
        child.run({"side": side, "job": job().plain()})


def test_every_case_tells_its_trainers_whether_its_lengths_are_fixed(tmp_path) -> None:
    from benchmarks.measure import Settings, job_of
    from benchmarks.prepare import Prepared

    settings = Settings(("ours",), 1, 1, tmp_path, checkpointing=False)
    prepared = Prepared("dir", ("a?",), 20, 1, 1)
    told = [
        job_of(Case(EMBEDDED, 8, 64, "float32", lengths), prepared, settings, 0).lengths
        for lengths in ("fixed", "natural")
    ]
    assert told == ["fixed", "natural"]

"""How TRL is set up, with a stand-in for its trainer."""

import pytest

from benchmarks.cases import EMBEDDED
from benchmarks.job import Job
from benchmarks.models import prepare_model

pytest.importorskip("trl")
trl_side = pytest.importorskip("benchmarks.trl_side")


@pytest.mark.parametrize(("engine", "with_vllm"), [("auto", False), ("vllm", True)])
def test_vllm_runs_inside_trl_s_process_without_what_takes_time(engine, with_vllm, tmp_path, monkeypatch):
    monkeypatch.setattr(trl_side, "GRPOTrainer", lambda **given: given)
    directory = prepare_model(EMBEDDED, "fixed", tmp_path)
    job = Job(str(directory), ("a?",), 4, 8, "float32", "cpu", 1, 1, seed=0, lengths="fixed", engine=engine)
    given = trl_side.make_trainer(job, str(tmp_path))
    assert given["args"].use_vllm is with_vllm
    assert given["args"].vllm_mode == "colocate"
    assert given["args"].vllm_enable_sleep_mode is False
    assert given["args"].vllm_importance_sampling_correction is False
    assert given["model"].name_or_path == str(directory), "vLLM reads the model from there"

"""What swarmd asks of vLLM: a stand-in for the package records how it was called."""

import json
import logging
import sys
import types
from pathlib import Path

import pytest
import torch

from swarmd.errors import ConfigError, ModelError
from swarmd.rollout import vllm_calls
from swarmd.rollout.vllm_calls import EngineRow, Sampling, start_vllm


class FakeLlm:
    """`vllm.LLM` as far as it is used."""

    def __init__(self, **settings):
        self.settings = settings
        self.model_files = {path.name for path in Path(settings["model"]).iterdir()}
        self.architecture = json.loads((Path(settings["model"]) / "config.json").read_text())["model_type"]
        self.calls = []
        self.outputs = []
        self.llm_engine = types.SimpleNamespace(
            add_request=lambda *given: self.calls.append(("add_request", *given)),
            abort_request=lambda names: self.calls.append(("abort_request", names)),
            step=lambda: self.outputs,
        )
        torch.manual_seed(settings["seed"])
        torch.set_num_threads(1)

    def wake_up(self, tags):
        self.calls.append(("wake_up", tags))

    def sleep(self, level):
        self.calls.append(("sleep", level))

    def reset_prefix_cache(self):
        self.calls.append(("reset_prefix_cache",))

    def collective_rpc(self, method, kwargs):
        self.calls.append((method, [name for name, _ in kwargs["weights_iterator"]]))


@pytest.fixture
def package(monkeypatch):
    """The stand-in for the package, importable as vllm."""
    sampling_params = types.ModuleType("vllm.sampling_params")
    sampling_params.RequestOutputKind = types.SimpleNamespace(FINAL_ONLY="final only")
    module = types.ModuleType("vllm")
    module.LLM = FakeLlm
    module.SamplingParams = lambda **given: types.SimpleNamespace(**given)
    module.sampling_params = sampling_params
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", sampling_params)
    for name in vllm_calls.ENVIRONMENT:
        monkeypatch.setenv(name, "")  # so that what is set during the test is undone after it
        monkeypatch.delenv(name)
    return module


@pytest.fixture
def start(package, make_policy):
    config = make_policy().model.config
    return lambda: start_vllm(config, dtype="bfloat16", memory_share=0.4)


def test_it_starts_from_the_configuration_alone_and_asleep(start):
    llm = start()._llm
    assert llm.model_files == {"config.json"}
    assert llm.architecture == "qwen2"
    assert llm.settings["load_format"] == "dummy"
    assert llm.settings["use_tqdm_on_load"] is False
    assert llm.settings["gpu_memory_utilization"] == 0.4
    assert llm.settings["max_model_len"] == -1, "a context longer than the cache is no reason to refuse"
    assert llm.settings["logprobs_mode"] == "processed_logprobs"
    assert llm.calls == [("sleep", 2)]


def test_it_leaves_the_processs_randomness_and_threads_alone(start):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        state = torch.get_rng_state()
        start()
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)


def test_it_stays_in_this_process_and_reports_to_nobody(start, monkeypatch):
    seen = {}
    monkeypatch.setattr(FakeLlm, "sleep", lambda self, level: seen.update(vllm_calls.os.environ))
    start()
    assert seen["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert seen["VLLM_NO_USAGE_STATS"] == "1"


def test_it_reports_errors_and_no_warnings(start):
    start()
    assert logging.getLogger("vllm").getEffectiveLevel() == logging.ERROR


def test_weights_come_back_before_the_cache_and_old_prefixes_are_forgotten(start):
    engine = start()
    engine._llm.calls.clear()
    engine.wake(iter([("a.weight", torch.zeros(1)), ("b.weight", torch.zeros(1))]))
    assert engine._llm.calls == [
        ("wake_up", ["weights"]),
        ("reload_weights", ["a.weight", "b.weight"]),
        ("wake_up", ["kv_cache"]),
        ("reset_prefix_cache",),
    ]


def test_a_row_is_drawn_from_the_whole_distribution_with_its_own_seed(start):
    engine = start()
    engine._llm.calls.clear()
    engine.submit(7, (5, 6), Sampling(seed=11, temperature=0.8, max_tokens=9, eos_ids=(2, 3)))
    ((_, name, prompt, params),) = engine._llm.calls
    assert (name, prompt) == ("7", {"prompt_token_ids": [5, 6]})
    assert (params.n, params.seed, params.temperature, params.max_tokens) == (1, 11, 0.8, 9)
    assert (params.top_p, params.top_k, params.min_p, params.logprobs) == (1.0, 0, 0.0, 0)
    assert (params.stop_token_ids, params.ignore_eos) == ([2, 3], True)


def test_finished_rows_come_with_the_sampled_tokens_logprobs(start):
    engine = start()

    def place(**logprobs):
        return {int(token[1:]): types.SimpleNamespace(logprob=value) for token, value in logprobs.items()}

    output = types.SimpleNamespace(token_ids=[4, 2], logprobs=[place(_9=-0.1, _4=-1.5), place(_2=-0.25)])
    going = types.SimpleNamespace(token_ids=[4], logprobs=[place(_4=-1.0)])
    engine._llm.outputs[:] = [
        types.SimpleNamespace(request_id="3", finished=True, outputs=[output]),
        types.SimpleNamespace(request_id="1", finished=False, outputs=[going]),
    ]
    assert engine.step() == [(3, EngineRow((4, 2), (-1.5, -0.25)))]


def test_rows_are_forgotten_by_their_names_and_sleep_keeps_no_weights(start):
    engine = start()
    engine._llm.calls.clear()
    engine.abort([1, 2])
    engine.sleep()
    assert engine._llm.calls == [("abort_request", ["1", "2"]), ("sleep", 2)]


def test_without_the_package_it_is_refused_with_the_command_that_installs_it(monkeypatch, make_policy):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"engine vllm .*pip install"):
        start_vllm(make_policy().model.config, dtype="float32", memory_share=0.5)


def test_a_model_it_cannot_serve_is_refused(start, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("model architectures are not supported")

    monkeypatch.setattr(FakeLlm, "__init__", refuse)
    with pytest.raises(ConfigError, match=r"architectures are not supported.*--engine auto"):
        start()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(RuntimeError("dead"), ModelError), (torch.OutOfMemoryError("full"), torch.OutOfMemoryError)],
)
def test_failures_are_model_errors_and_a_lack_of_memory_stays_one(start, raised, expected):
    engine = start()

    def fail():
        raise raised

    engine._llm.llm_engine.step = fail
    with pytest.raises(expected, match=str(raised)):
        engine.step()

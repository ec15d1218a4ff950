"""From the processes' answers to a case's entry in the JSON."""

from pathlib import Path

import pytest

from benchmarks import checking, measure
from benchmarks.cases import Case, cases_on
from benchmarks.floor import Rates
from benchmarks.measure import Settings, ratio, summarise, summary
from benchmarks.prepare import Prepared
from benchmarks.processes import ProcessError
from benchmarks.sides import SIDES

CASE = Case("embedded", 16, 64, "float32", "fixed")
PREPARED = Prepared("dir", ("a?", "b?"), prompt_tokens=20, layer_weights=1_000_000, head_weights=200_000)


def answer(step, peak, device_peak=None, warm_up=100.0):
    """One process: a slow first step, then two."""

    def times(seconds):
        parts = {"generation": seconds / 2, "loss_backward": seconds / 4, "optimizer": seconds / 4}
        return {"step": seconds, "cpu": 2 * seconds, **parts, "tokens": 1024}

    steps = [times(warm_up), times(step), times(step)]
    return {"steps": steps, "peak_bytes": peak, "imported_bytes": 1, "peak_device_bytes": device_peak}


def test_the_step_that_warms_up_does_not_count():
    assert summary([answer(2.0, 10)])["step_s"] == {"median": 2.0, "min": 2.0, "max": 2.0}


def test_medians_and_spread_are_over_the_runs():
    found = summary([answer(step, peak) for step, peak in [(1.0, 5), (9.0, 7), (2.0, 6)]])
    assert found["step_s"] == {"median": 2.0, "min": 1.0, "max": 9.0}
    assert found["generation_s"]["median"] == 1.0
    assert found["cpu_s"]["median"] == 4.0
    assert found["peak_bytes"] == {"median": 6, "min": 5, "max": 7}
    assert found["tokens_per_s"]["median"] == 512
    assert found["peak_device_bytes"] is None


def test_gradients_are_compared_on_the_size_of_a_cpu_case_even_before_a_gpu_is_timed(tmp_path, monkeypatch):
    jobs = []

    def call(task, payload, *, threads, device="cpu"):
        if task == "batch":
            job = payload["job"]
            jobs.append((job["device"], job["dtype"], job["group_size"], job["new_tokens"]))
        return {"loss": 0.5} if task == "gradients" else {}

    monkeypatch.setattr(checking, "prepare_case", lambda case, settings: PREPARED)
    monkeypatch.setattr(checking, "call", call)
    settings = Settings(("ours", "trl"), 1, 2, tmp_path, checkpointing=False)
    found = checking.check_gradients(cases_on("cuda"), settings, lambda line: None)
    assert [(entry["model"], entry["completions"]) for entry in found] == [
        ("smollm2-135m", "equal"),
        ("smollm2-135m", "unequal"),
        ("qwen2.5-0.5b", "equal"),
        ("qwen2.5-0.5b", "unequal"),
    ]
    assert jobs == [("cpu", "float32", 8, 64)] * 2 + [("cpu", "float32", 4, 32)] * 2


def test_ratios_say_how_many_times_faster_ours_is_and_what_share_of_their_memory_it_takes():
    ours, theirs = summary([answer(1.0, 60)]), summary([answer(4.0, 100)])
    assert ratio(ours, theirs) == {"step": 4.0, "cpu": 4.0, "memory": 0.6}


def test_on_an_accelerator_the_memory_compared_is_the_device_s():
    ours, theirs = summary([answer(1.0, 60, 30)]), summary([answer(4.0, 100, 40)])
    assert ratio(ours, theirs, "cuda") == {"step": 4.0, "cpu": 4.0, "memory": 0.75}


def test_a_case_s_entry_has_every_trainer_and_null_for_those_not_run():
    sides = {"ours": summary([answer(1.0, 60)]), "trl": summary([answer(4.0, 100)])}
    found = summarise(CASE, sides, PREPARED, None)
    assert found["name"] == "embedded 16x64 float32 fixed"
    assert found["ours"]["step_s"]["median"] == 1.0
    assert found["genrl"] is None
    assert found["ratio"]["trl"] == {"step": 4.0, "cpu": 4.0, "memory": 0.6}
    without = {side for side, ratio in found["ratio"].items() if ratio is None}
    assert without == {"ours-vllm", "trl-vllm", "genrl"}


def test_the_floor_follows_from_the_tokens_ours_wrote():
    sides = {"ours": summary([answer(1.0, 60)])}
    rates = Rates(read_bytes_per_s=1e9, matmul_flop_per_s={"float32": 1e12, "bfloat16": 1e12})
    least = summarise(CASE, sides, PREPARED, rates)["floor"]
    assert least["optimizer_s"] == pytest.approx(1_200_000 * 28 / 1e9)
    assert least["generation_s"] == pytest.approx(64 * 4_800_000 / 1e9, rel=0.01)
    assert least["step_s"] == pytest.approx(
        least["generation_s"] + least["loss_backward_s"] + least["optimizer_s"]
    )


def measured(monkeypatch, failing=None, sides=("ours", "trl", "genrl")):
    """Three runs of these trainers, of which `failing` fails in its second: the case's entry, what was told
    meanwhile, and the engine that each was to use.
    """
    ran, told, engines = [], [], {}

    def call(_task, payload, **_):
        ran.append(payload["side"])
        engines[payload["side"]] = payload["job"]["engine"]
        if payload["side"] == failing and ran.count(failing) == 2:
            raise ProcessError("run ended with status 1: every completion was empty")
        return answer(1.0, 60)

    monkeypatch.setattr(measure, "prepare_case", lambda *_: PREPARED)
    monkeypatch.setattr(measure, "call", call)
    settings = Settings(sides, 3, 2, Path("cache"), checkpointing=False)
    return measure.measure_case(CASE, settings, None, told.append), told, engines


def test_a_trainer_of_others_that_fails_is_left_out_of_the_case_and_the_rest_is_kept(monkeypatch):
    found, told, _ = measured(monkeypatch, "genrl")
    assert found["genrl"] is None
    assert found["ratio"]["genrl"] is None
    assert found["ratio"]["trl"]["step"] == 1.0
    assert [line for line in told if "every completion was empty" in line]


def test_where_ours_fails_there_is_no_case(monkeypatch):
    with pytest.raises(ProcessError, match="every completion was empty"):
        measured(monkeypatch, "ours")


def test_a_trainer_with_vllm_is_the_same_trainer_with_another_engine(monkeypatch):
    found, _, engines = measured(monkeypatch, sides=tuple(SIDES))
    assert {side for side, engine in engines.items() if engine == "vllm"} == {"ours-vllm", "trl-vllm"}
    assert SIDES["ours-vllm"].module == SIDES["ours"].module
    assert SIDES["trl-vllm"].module == SIDES["trl"].module
    assert all(ratio["step"] == 1.0 for ratio in found["ratio"].values())


def test_our_step_is_kept_where_the_same_step_with_vllm_fails(monkeypatch):
    found, _, _ = measured(monkeypatch, "ours-vllm", tuple(SIDES))
    assert found["ours-vllm"] is None
    assert found["ours"] is not None

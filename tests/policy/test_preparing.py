"""From a configured model to its plan: what is read, what is remembered, what is refused before loading."""

import dataclasses
import json
import shutil

import pytest
import torch

from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.hardware.arrangement import Workload
from swarmd.hardware.budgets import UNLIMITED, Budgets
from swarmd.hardware.probe import HardwareProbe
from swarmd.hardware.rates import MEASUREMENTS
from swarmd.hardware.remembered import ENTRIES_MAX, ShrunkBudgets, read_shrunk, write_shrunk
from swarmd.model import TO_PLAN, locate, on_meta, read_configuration, shape_of
from swarmd.model import locating as locating_module
from swarmd.model_names import SMOLLM2
from swarmd.policy import prepare_plan
from swarmd.policy import preparing as preparing_module

GIB = 2**30
STEP = Workload(own_groups=2, external_groups=2, group_size=8, new_tokens=64)
MACHINE = HardwareProbe((), 2, 0.0, False, None, free_bytes=8 * GIB, held_bytes=GIB // 4)
SHRUNK = ShrunkBudgets(
    model="m", device="cpu", dtype="float32", lora_rank=None, limit_bytes=GIB, decode_tokens=9, train_tokens=8
)


def model_shape(name):
    return shape_of(on_meta(read_configuration(locate(name, TO_PLAN))))


@pytest.fixture
def prepare(tiny_model_dir, tmp_path):
    """prepare(**wishes): the tiny model prepared in a home."""

    def prepare(probe=MACHINE, train_tokens=None, work=STEP, **wishes):
        return prepare_plan(
            PolicyConfig(**{"model": str(tiny_model_dir)} | wishes),
            work,
            train_tokens=train_tokens,
            rates_cache=tmp_path / "rates.json",
            remembered=tmp_path / "budgets.json",
            probe=probe,
        )

    return prepare


def test_the_plan_has_budgets_a_limit_and_a_peak_below_it(prepare):
    plan = prepare().plan
    assert 0 < plan.predicted_peak_bytes <= plan.memory_limit_bytes == int(0.8 * 8 * GIB)
    assert plan.budgets.train_tokens >= STEP.row_tokens
    assert any("is predicted" in reason for reason in plan.reasons)
    assert any("GFLOP/s" in reason for reason in plan.reasons)


@pytest.mark.parametrize(("device", "probed"), [("cpu", False), ("auto", True)])
def test_accelerators_are_left_alone_if_the_cpu_was_asked_for(prepare, monkeypatch, device, probed):
    asked = list[bool]()

    def probe_hardware(*, accelerators: bool = True) -> HardwareProbe:
        asked.append(accelerators)
        return MACHINE

    monkeypatch.setattr("swarmd.policy.preparing.probe_hardware", probe_hardware)
    prepare(probe=None, device=device)
    assert asked == [probed]


def test_no_row_is_planned_longer_than_the_models_context(prepare):
    context = 256
    plan = prepare(work=dataclasses.replace(STEP, own_groups=1, external_groups=1)).plan
    assert plan.budgets.train_tokens == 2 * (context - 64 + 8 * 64)


def test_what_was_measured_is_read_at_later_starts(prepare, tmp_path):
    for _ in range(MEASUREMENTS):
        prepare()
    written = (tmp_path / "rates.json").read_bytes()
    prepare()
    assert (tmp_path / "rates.json").read_bytes() == written


def test_a_budget_that_became_smaller_is_where_the_next_start_begins(prepare):
    first = prepare()
    first.remember(Budgets(decode_tokens=333, train_tokens=222))
    again = prepare().plan
    assert (again.budgets.decode_tokens, again.budgets.train_tokens) == (333, 222)
    richer = dataclasses.replace(MACHINE, free_bytes=16 * GIB)
    assert prepare(probe=richer).plan.budgets.train_tokens > 222
    assert prepare(lora_rank=4).plan.budgets.train_tokens > 222


def test_what_never_ran_short_is_not_bounded_by_the_work_of_an_earlier_start(prepare):
    prepare().remember(dataclasses.replace(UNLIMITED, train_tokens=222))
    again = prepare(work=dataclasses.replace(STEP, own_groups=32)).plan
    assert again.budgets.train_tokens == 222
    assert again.budgets.decode_tokens > STEP.decode_tokens


def test_a_shortage_of_one_kind_does_not_forget_that_of_the_other(prepare):
    prepare().remember(dataclasses.replace(UNLIMITED, decode_tokens=333))
    prepare().remember(dataclasses.replace(UNLIMITED, train_tokens=222))
    again = prepare().plan
    assert (again.budgets.decode_tokens, again.budgets.train_tokens) == (333, 222)


def test_a_device_too_full_to_be_measured_is_a_model_error(prepare, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(preparing_module, "rates_of", fail)
    with pytest.raises(ModelError, match="another --device"):
        prepare()


def test_the_operators_own_budget_is_taken(prepare):
    assert prepare(train_tokens=100).plan.budgets.train_tokens == 100


def test_a_machine_without_memory_is_told_before_anything_is_loaded(prepare):
    full = dataclasses.replace(MACHINE, free_bytes=GIB // 8)
    with pytest.raises(ModelError, match=r"may be used.*--memory-limit"):
        prepare(probe=full)


def test_only_the_configuration_of_a_hub_model_is_fetched_to_plan(monkeypatch, tiny_model_dir, tmp_path):
    asked = []

    def fetch(model, files, watch, revision):
        asked.append((model, files))
        shutil.copy(tiny_model_dir / "config.json", tmp_path)
        return tmp_path

    monkeypatch.setattr(locating_module, "fetch_snapshot", fetch)
    assert model_shape("owner/name").layers == 2
    small = ("config.json", "adapter_config.json", "preprocessor_config.json", "processor_config.json")
    assert asked == [("owner/name", small)]


def test_the_sizes_of_smollm2_are_known_without_its_package():
    assert model_shape(SMOLLM2).parameters == 134_515_008


def test_a_configuration_that_nothing_can_be_made_of_is_a_model_error(tiny_model_dir, tmp_path):
    config = json.loads((tiny_model_dir / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "frobnicator"}))
    with pytest.raises(ModelError, match=r"does not work here"):
        model_shape(str(tmp_path))
    (tmp_path / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        model_shape(str(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 0, "layer_types": []},
        {"max_position_embeddings": 0},
        {"max_position_embeddings": 1},
        {"max_position_embeddings": -5},
    ],
    ids=str,
)
def test_a_configuration_without_layers_or_context_is_a_model_error(
    prepare, tiny_model_dir, tmp_path, changes
):
    config = json.loads((tiny_model_dir / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(ModelError, match=r"this qwen2 has \d layers and a context of \S+ tokens: copy"):
        prepare(model=str(tmp_path))


def test_a_models_own_code_is_never_offered_to_run(monkeypatch, tiny_model_dir, tmp_path):
    config = {"model_type": "t5", "auto_map": {"AutoModelForCausalLM": "theirs.py--Theirs"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    asked = []
    monkeypatch.setattr("builtins.input", lambda *words: asked.append(words) or "n")
    with pytest.raises(ModelError, match=r"does not work here.*building it"):
        prepare_plan(PolicyConfig(model=str(tmp_path)), STEP, probe=MACHINE)
    assert asked == []


def test_the_newest_budgets_of_a_run_replace_its_older_ones(tmp_path):
    path = tmp_path / "budgets.json"
    write_shrunk(path, SHRUNK)
    newer = SHRUNK.model_copy(update={"train_tokens": 4})
    other = SHRUNK.model_copy(update={"lora_rank": 16})
    write_shrunk(path, newer)
    write_shrunk(path, other)
    assert read_shrunk(path) == (other, newer)


def test_activations_that_had_to_be_computed_twice_are_again_at_the_next_start(prepare):
    prepare().remember(dataclasses.replace(UNLIMITED, train_tokens=222, gradient_checkpointing=True))
    prepare().remember(dataclasses.replace(UNLIMITED, decode_tokens=333))
    assert prepare().plan.budgets == Budgets(333, 222, gradient_checkpointing=True)


def test_budgets_are_remembered_for_a_bounded_number_of_runs(tmp_path):
    path = tmp_path / "budgets.json"
    for rank in range(1, ENTRIES_MAX + 5):
        write_shrunk(path, SHRUNK.model_copy(update={"lora_rank": rank}))
    assert len(read_shrunk(path)) == ENTRIES_MAX


@pytest.mark.parametrize("damage", [b"", b"{", b'{"entries": [{"model": 1}]}'])
def test_a_damaged_file_remembers_nothing(tmp_path, damage):
    path = tmp_path / "budgets.json"
    path.write_bytes(damage)
    assert read_shrunk(path) == ()
    write_shrunk(path, SHRUNK)
    assert read_shrunk(path) == (SHRUNK,)


def test_a_home_that_cannot_be_written_is_no_error(tmp_path):
    write_shrunk(tmp_path / "none" / "budgets.json", SHRUNK)
    assert read_shrunk(None) == ()

"""swarmd export: the trained model as a folder, whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import HfHubHTTPError
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM

from protocol import KeyPair
from swarmd.model import Base, exporting
from swarmd.names import name_of
from swarmd.policy import Policy
from swarmd.storage import Checkpoints, Database, Home
from swarmd.tasks import load_manifest

TEACHER = KeyPair.from_seed(bytes(32)).peer_id
EVALUATION = {"step": 4, "success": 0.48, "interval": [0.43, 0.53], "questions": 400, "tasks": {"gcd": 0.9}}
CONVERTER = """#!/bin/sh
{ echo "$1"; cat "$1/config.json"; } > "$3"
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.open(tmp_path / "h")
    home.write_manifest(load_manifest("starter").to_bytes())
    return home


def save(
    home: Home, policy: Policy, model: Path, step: int = 4, lora_rank: int | None = None, **state: Any
) -> Path:
    trained = {"model": str(model), "lora_rank": lora_rank}
    return Checkpoints(home.checkpoints_path, keep=2).save(
        step, tensors=policy.trainable_state(), optimizer={}, state={"policy": trained, **state}
    )


def files(path: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "lock"
    }


def test_the_newest_checkpoint_is_written_while_a_daemon_runs_and_the_home_stays_as_it_is(
    swarmd, home, make_policy, tiny_model_dir, tmp_path
) -> None:
    policy = make_policy()
    save(home, policy, tiny_model_dir)
    Database(home.database_path).close()
    before = files(home.path)
    with home.lock():
        outcome = swarmd("export", tmp_path / "out", "--home", home.path)
    assert outcome.code == 0, outcome.err
    assert files(home.path) == before
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(loaded.lm_head.weight, policy.model.lm_head.weight)
    assert str(tmp_path / "out") in outcome.out
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o644}


def test_the_folder_of_a_tokenizer_s_other_chat_templates_can_be_opened_by_everybody(
    swarmd, home, make_policy, tiny_model_dir, tmp_path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model_dir, model)
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates" / "rag.jinja").write_text("{{ documents }}")
    save(home, make_policy(), model)
    outcome = swarmd("export", tmp_path / "out", "--home", home.path)
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out" / "additional_chat_templates"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "rag.jinja")]
    assert modes == [0o755, 0o644]


def test_an_adapter_is_written_as_peft_saves_it(swarmd, home, make_policy, tiny_model_dir, tmp_path) -> None:
    save(home, make_policy(lora_rank=2), tiny_model_dir, lora_rank=2)
    outcome = swarmd("export", tmp_path / "out", "--home", home.path, "--adapter")
    assert outcome.code == 0, outcome.err
    base = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    assert PeftModel.from_pretrained(base, tmp_path / "out").peft_config["default"].r == 2


@pytest.mark.parametrize("content", ["a file in it", "a file instead"])
def test_nothing_is_overwritten(swarmd, home, make_policy, tiny_model_dir, tmp_path, content) -> None:
    save(home, make_policy(), tiny_model_dir)
    out = tmp_path / "out"
    kept = out
    if content == "a file in it":
        out.mkdir()
        kept = out / "mine"
    kept.write_text("mine")
    outcome = swarmd("export", out, "--home", home.path)
    assert outcome.code == 2
    assert "nothing is overwritten: name a new or empty directory" in outcome.err
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, os.strerror(28)),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=["the system's", "safetensors'"],
)
def test_what_fails_half_way_leaves_nothing(
    swarmd, home, make_policy, tiny_model_dir, tmp_path, monkeypatch, error
) -> None:
    save(home, make_policy(), tiny_model_dir)

    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("swarmd.cli.model_card.write_card", full)
    (tmp_path / "there").mkdir()
    outcome = swarmd("export", tmp_path / "there" / "out", "--home", home.path)
    assert outcome.code == 75
    assert "free some space" in outcome.err
    assert not list((tmp_path / "there").iterdir())


def test_a_home_that_has_not_trained_says_how_to_begin(swarmd, home, tmp_path) -> None:
    outcome = swarmd("export", tmp_path / "out", "--home", home.path)
    assert outcome.code == 2
    assert "has no checkpoint" in outcome.err
    assert "swarmd join" in outcome.err
    assert "there is no swarmd home at" in swarmd("export", tmp_path / "o", "--home", tmp_path / "absent").err


def test_an_adapter_without_its_base_is_refused(swarmd, home, make_policy, tiny_model_dir, tmp_path) -> None:
    base = Base(str(tiny_model_dir), None, "0" * 64).to_state()
    save(home, make_policy(lora_rank=2), tiny_model_dir, lora_rank=2, base=base)
    replaced = swarmd("export", tmp_path / "out", "--home", home.path)
    assert (replaced.code, "works only on its own base" in replaced.err) == (1, True)
    save(home, make_policy(lora_rank=2), tmp_path / "gone", 8, lora_rank=2)
    gone = swarmd("export", tmp_path / "out", "--home", home.path, "--adapter")
    assert (gone.code, "unknown model" in gone.err) == (1, True)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_is_exported_wherever_it_is(swarmd, home, make_policy, tiny_model_dir, tmp_path) -> None:
    elsewhere = save(home, make_policy(), tiny_model_dir).rename(tmp_path / "00000001-step-4")
    outcome = swarmd("export", tmp_path / "out", "--checkpoint", elsewhere)
    assert outcome.code == 0, outcome.err
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| swarm | unknown |" in card
    assert "| steps | 4 |" in card


def test_the_card_says_where_the_model_comes_from(
    swarmd, home, make_policy, tiny_model_dir, tmp_path
) -> None:
    own = home.key().peer_id
    progress = {"evaluation": EVALUATION}
    save(home, make_policy(), tiny_model_dir, peer=own, progress=progress)
    metrics = {"groups_own": 4, "groups_external_used": 3}
    with Database(home.database_path) as database:
        for step in range(1, 6):  # one more than the checkpoint's
            database.steps.record(step, reward=0.5, metrics=metrics, now=0)
        database.ledger.pulled(b"digest", TEACHER, 7, reward_mean=0.5, now=0)
    assert swarmd("export", tmp_path / "out", "--home", home.path).code == 0
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("transformers", "text-generation")
    manifest = load_manifest("starter")
    for said in (
        f"`starter`, id `{manifest.swarm_id.hex()}`",
        *(f"`{task.name}`" for task in manifest.tasks),
        f"{name_of(own)} (`{own}`)",
        "| own groups | 16 |",
        "| groups by other peers | 12 |",
        "| all tasks | unknown | 0.480 (0.430 – 0.530) |",
        "400 questions",
        f"| {name_of(TEACHER)} | `{TEACHER}` | 1 |",
        "torch",
    ):
        assert said in card.text
    assert str(tiny_model_dir.parent) not in card.text, "where it was on this machine concerns nobody"


def test_the_card_s_example_runs_in_the_folder(
    swarmd, home, make_policy, tiny_model_dir, tmp_path, monkeypatch, capsys
) -> None:
    save(home, make_policy(), tiny_model_dir)
    assert swarmd("export", tmp_path / "out", "--home", home.path).code == 0
    found = re.search(r"```python\n(.*?)```", (tmp_path / "out" / "README.md").read_text(), re.DOTALL)
    assert found is not None
    monkeypatch.chdir(tmp_path / "out")
    exec(found[1], {})  # noqa: S102  our own example
    assert "generated_text" in capsys.readouterr().out


def test_an_adapter_s_card_says_how_to_put_it_on_its_base(
    swarmd, home, make_policy, tiny_model_dir, tmp_path
) -> None:
    save(home, make_policy(lora_rank=2), tiny_model_dir, lora_rank=2)
    assert swarmd("export", tmp_path / "out", "--home", home.path, "--adapter").code == 0
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.library_name == "peft"
    assert 'PeftModel.from_pretrained(base, ".")' in card.text
    assert f"`BASE` is the folder of `{tiny_model_dir.name}`" in card.text


def test_names_that_peers_wrote_are_no_markdown_in_the_card(
    swarmd, home, make_policy, tiny_model_dir, tmp_path
) -> None:
    manifest = load_manifest("starter")
    odd = manifest.tasks[0].model_copy(update={"name": "a`|<script>"})
    hostile = manifest.model_copy(update={"name": "x` | <b>", "tasks": (odd, *manifest.tasks[1:])})
    home.write_manifest(hostile.to_bytes())
    save(home, make_policy(), tiny_model_dir)
    assert swarmd("export", tmp_path / "out", "--home", home.path).code == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`a'/<script>`" in card
    assert "`x' / <b>`" in card


def test_the_licence_of_the_base_is_passed_on_if_its_card_names_one(
    swarmd, home, make_policy, tiny_model_dir, tmp_path
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for path in tiny_model_dir.iterdir():
        (base / path.name).write_bytes(path.read_bytes())
    save(home, make_policy(), base)
    for card, expected in (("---\nlicense: mit\n---\n# b", "mit"), ("---\n: [\n---\n", None)):
        (base / "README.md").write_text(card)
        out = tmp_path / str(expected)
        assert swarmd("export", out, "--home", home.path).code == 0
        assert ModelCard.load(out / "README.md").data.license == expected


class Hub:
    """The two calls of huggingface_hub's API that are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.refuses: Exception | None = None
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        monkeypatch.setattr(HfApi, "create_repo", self._create)
        monkeypatch.setattr(HfApi, "upload_folder", self._upload)

    def _create(self, repository: str, **wanted: Any) -> Any:
        if self.refuses is not None:
            raise self.refuses
        self.called.append(("create", {"repository": repository, **wanted}))
        from huggingface_hub import RepoUrl

        return RepoUrl(f"https://huggingface.co/{repository}")

    def _upload(self, **wanted: Any) -> None:
        self.called.append(("upload", wanted))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(monkeypatch)


def test_the_folder_is_uploaded_whole(swarmd, home, make_policy, tiny_model_dir, tmp_path, hub) -> None:
    save(home, make_policy(), tiny_model_dir)
    out = tmp_path / "out"
    outcome = swarmd("export", out, "--home", home.path, "--push-to-hub", "me/mine", "--private")
    assert outcome.code == 0, outcome.err
    assert hub.called == [
        ("create", {"repository": "me/mine", "private": True, "exist_ok": True}),
        ("upload", {"repo_id": "me/mine", "folder_path": out, "commit_message": "swarmd: step 4"}),
    ]
    assert "https://huggingface.co/me/mine" in outcome.out


def test_what_the_hub_refuses_is_one_sentence_and_the_folder_stays(
    swarmd, home, make_policy, tiny_model_dir, tmp_path, hub
) -> None:
    import httpx

    save(home, make_policy(), tiny_model_dir)
    request = httpx.Request("POST", "https://huggingface.co/api/repos/create")
    hub.refuses = HfHubHTTPError("403 Forbidden:\nno right", response=httpx.Response(403, request=request))
    outcome = swarmd("export", tmp_path / "out", "--home", home.path, "--push-to-hub", "me/mine")
    assert outcome.code == 1
    assert "the hub did not accept me/mine (403 Forbidden: no right" in outcome.err
    assert (tmp_path / "out" / "config.json").is_file()


def test_without_a_token_or_with_a_wrong_name_nothing_is_begun(swarmd, home, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.model.publishing.get_token", lambda: None)
    outcome = swarmd("export", tmp_path / "out", "--home", home.path, "--push-to-hub", "me/mine")
    assert (outcome.code, "`hf auth login`" in outcome.err) == (2, True)
    outcome = swarmd("export", tmp_path / "out", "--home", home.path, "--push-to-hub", "a/b/c")
    assert (outcome.code, "write it as OWNER/NAME" in outcome.err) == (2, True)
    outcome = swarmd("export", tmp_path / "out", "--home", home.path, "--private")
    assert (outcome.code, "name it with --push-to-hub" in outcome.err) == (2, True)


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for llama.cpp's converter: its command line, not its work."""
    path = tmp_path / "bin" / "llama-convert-hf-to-gguf"
    path.parent.mkdir()
    path.write_text(CONVERTER)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    return path


def test_llama_cpp_s_converter_gets_the_exported_folder(
    swarmd, home, make_policy, tiny_model_dir, tmp_path, converter
) -> None:
    save(home, make_policy(), tiny_model_dir)
    named = ("--home", home.path, "--gguf", tmp_path / "a model.gguf")
    outcome = swarmd("export", tmp_path / "out", *named)
    assert outcome.code == 0, outcome.err
    folder, config = (tmp_path / "a model.gguf").read_text().split("\n", 1)
    assert folder == str(tmp_path / "out")
    assert json.loads(config)["model_type"] == "qwen2"
    again = swarmd("export", tmp_path / "out-2", *named)
    assert (again.code, "exists, and nothing is overwritten" in again.err) == (2, True)


def test_a_converter_that_fails_is_quoted_and_leaves_the_folder(
    swarmd, home, make_policy, tiny_model_dir, tmp_path, converter
) -> None:
    converter.write_text(
        "#!/bin/sh\necho loading\necho 'NotImplementedError: BPE pre-tokenizer' >&2\nexit 1\n"
    )
    save(home, make_policy(), tiny_model_dir)
    outcome = swarmd("export", tmp_path / "out", "--home", home.path, "--gguf", tmp_path / "m.gguf")
    assert outcome.code == 1
    assert "exit code 1: NotImplementedError: BPE pre-tokenizer" in outcome.err
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert not (tmp_path / "m.gguf").exists()


def test_without_the_converter_nothing_is_begun(swarmd, home, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("swarmd.cli.gguf.CONVERTERS", ("no-such-converter",))
    outcome = swarmd("export", tmp_path / "out", "--home", home.path, "--gguf", tmp_path / "m.gguf")
    assert outcome.code == 2
    assert "llama.cpp" in outcome.err
    both = swarmd("export", tmp_path / "out", "--home", home.path, "--gguf", tmp_path / "m", "--adapter")
    assert (both.code, "leave one of them out" in both.err) == (2, True)


def test_too_little_memory_says_what_to_do(
    swarmd, home, make_policy, tiny_model_dir, tmp_path, monkeypatch
) -> None:
    save(home, make_policy(), tiny_model_dir)

    def short(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(exporting, "load_model", short)
    outcome = swarmd("export", tmp_path / "out", "--home", home.path)
    assert outcome.code == 1
    assert "memory ran out: try" in outcome.err


def test_the_working_directory_is_refused(swarmd, home, tmp_path, monkeypatch) -> None:
    here = tmp_path / "empty"
    here.mkdir()
    monkeypatch.chdir(here)
    before = here.stat().st_ino
    outcome = swarmd("export", ".", "--home", home.path)
    assert outcome.code == 2
    assert "is the working directory" in outcome.err
    assert here.stat().st_ino == before


def test_a_link_to_an_empty_directory_stays_and_the_directory_is_written(
    swarmd, home, make_policy, tiny_model_dir, tmp_path
) -> None:
    save(home, make_policy(), tiny_model_dir)
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    outcome = swarmd("export", link, "--home", home.path)
    assert outcome.code == 0, outcome.err
    assert link.is_symlink()
    assert (tmp_path / "real" / "config.json").is_file()

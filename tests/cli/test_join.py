"""swarmd join, init, version and --help, up to the point where the daemon takes over."""

from __future__ import annotations

import subprocess
import sys

import pytest

from swarmd import exit_codes
from swarmd.config import Config, load_config
from swarmd.config.settings import FLAGS
from swarmd.storage import Home

PEER = "/ip4/10.0.0.7/tcp/41000/p2p/12D3KooWHBcFcrGPXKUrHcxvd8MXEeUzRYyvY8fQcpEBxncSUwhj"


def test_join_without_arguments_makes_the_home_in_the_user_s_directory(swarmd, daemon, tmp_path) -> None:
    assert swarmd("join").code == 0
    [(config, home)] = daemon
    assert home.path == config.home == tmp_path / ".swarmd"
    assert home.identity_path.is_file()
    assert load_config(home.path, {}) == Config(home=home.path)


def test_every_flag_reaches_its_setting(swarmd, daemon, tmp_path, monkeypatch) -> None:
    given = {
        "--swarm": "sapo", "--steps": 7, "--seed": 8,
        "--peer": PEER, "--host": "127.0.0.1", "--port": 4000, "--announce": "/ip4/1.2.3.4/tcp/4000",
        "--address-file": tmp_path / "addresses", "--model": "./model", "--device": "cpu",
        "--dtype": "float32", "--lora": "r=16,alpha=8", "--temperature": 0.5, "--max-new-tokens": 9,
        "--threads": 2, "--duty": 0.5, "--memory-limit": "5GiB",
        "--local": 1, "--external": 0, "--group-size": 3, "--lr": 1e-3,
        "--algorithm": "gspo", "--external-loss": "topr", "--sampler": "scored",
        "--schedule": "cosine", "--total-steps": 70, "--checkpoint-every": 5,
        "--evaluate-every": 20, "--http": "127.0.0.1:0", "--log-format": "json",
        "--http-token": "a-long-enough-token", "--http-host": "trainer.local",
        "--log-level": "debug", "--engine": "eager", "--stop": "</answer>",
        "--template-arg": "enable_thinking=false", "--no-relay": None, "--examples": 3,
        "--no-lan": None, "--judge": "./model", "--reward-model": "./model",
    }  # fmt: skip
    assert set(given) == set(FLAGS.values())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    arguments = [str(part) for pair in given.items() for part in pair if part is not None]
    outcome = swarmd("join", "--home", tmp_path / "h", *arguments)
    assert outcome.code == 0, outcome.err
    [(config, _)] = daemon
    assert (config.swarm, config.steps, config.seed) == ("sapo", 7, 8)
    assert config.network.lan is False
    assert (config.network.peers, config.network.host, config.network.port) == ((PEER,), "127.0.0.1", 4000)
    assert config.network.announce == ("/ip4/1.2.3.4/tcp/4000",)
    assert not config.network.relay
    assert config.network.address_file == tmp_path / "addresses"
    policy, learning = config.policy, config.learning
    assert (policy.model, policy.device, policy.dtype) == ("./model", "cpu", "float32")
    assert (policy.lora_rank, policy.lora_alpha, policy.temperature) == (16, 8, 0.5)
    assert (policy.max_new_tokens, policy.threads, policy.memory_limit) == (9, 2, "5GiB")
    assert policy.duty == 0.5
    assert policy.engine == "eager"
    assert (learning.judge, learning.reward_model) == ("./model", "./model")
    assert policy.examples == 3
    assert (policy.stop, policy.template_args) == (("</answer>",), {"enable_thinking": False})
    assert (learning.local, learning.external, learning.group_size) == (1, 0, 3)
    assert (learning.algorithm, learning.external_loss, learning.sampler) == ("gspo", "topr", "scored")
    assert (learning.learning_rate, learning.schedule, learning.total_steps) == (1e-3, "cosine", 70)
    assert config.storage.checkpoint_every == 5
    observe = config.observe
    assert observe.evaluate_every == 20
    assert (observe.http, observe.log_format, observe.log_level) == ("127.0.0.1:0", "json", "debug")
    assert (observe.http_token, observe.http_hosts) == ("a-long-enough-token", ("trainer.local",))
    assert "can read --http-token TOKEN in the list of processes: use --http-token @FILE" in outcome.err


def test_a_token_in_a_file_stays_out_of_the_list_of_processes(swarmd, daemon, tmp_path) -> None:
    (tmp_path / "token").write_text("a-long-enough-token\n")
    outcome = swarmd("join", "--home", tmp_path / "h", "--http-token", f"@{tmp_path / 'token'}")
    assert outcome.code == 0, outcome.err
    assert "list of processes" not in outcome.err
    assert daemon[0][0].observe.http_token == "a-long-enough-token"


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "token cannot be read"), (b"short\n", "http_token"), (b"\xff" * 20, "it is not plain text")],
)
def test_a_file_without_a_token_is_refused_and_not_quoted(swarmd, daemon, tmp_path, content, said) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    outcome = swarmd("join", "--home", tmp_path / "h", "--http-token", f"@{tmp_path / 'token'}")
    assert (outcome.code, daemon) == (2, [])
    assert said in outcome.err


def test_template_arguments_are_true_false_numbers_or_text(swarmd, daemon, tmp_path) -> None:
    given = {"a": "true", "b": "3", "c": "0.5", "d": "low", "e": "NaN", "f": "null", "g": "[1]", "h": ""}
    flags = [f"--template-arg={name}={value}" for name, value in given.items()]
    assert swarmd("join", "--home", tmp_path, *flags).code == 0
    args = daemon[0][0].policy.template_args
    plain = {"a": True, "b": 3, "c": 0.5, "d": "low", "e": "NaN", "f": "null", "g": "[1]", "h": ""}
    assert args == plain
    assert [type(value) for value in args.values()] == [type(value) for value in plain.values()]


def test_flags_complete_a_config_file_that_is_not_enough_alone(swarmd, daemon, tmp_path) -> None:
    (tmp_path / "config.toml").write_text('[learning]\nschedule = "cosine"\n')
    assert swarmd("join", "--home", tmp_path, "--total-steps", 9).code == 0


def test_an_existing_config_file_and_key_stay(swarmd, daemon, tmp_path) -> None:
    swarmd("join", "--home", tmp_path)
    (tmp_path / "config.toml").write_text("seed = 3\n")
    swarmd("join", "--home", tmp_path)
    assert daemon[1][0].seed == 3
    assert daemon[0][1].key().peer_id == daemon[1][1].key().peer_id


def test_the_home_can_come_from_the_environment(swarmd, daemon, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_HOME", str(tmp_path / "elsewhere"))
    assert swarmd("join").code == 0
    assert daemon[0][0].home == tmp_path / "elsewhere"


def test_the_daemon_s_exit_code_is_the_command_s(swarmd, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("swarmd.daemon.run", lambda *_: 130)
    assert swarmd("join", "--home", tmp_path).code == 130


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--peer", "10.0.0.7:41000"],
            "error: --peer: network.peers: peer address '10.0.0.7:41000' is malformed",
        ),
        (["--local", "0", "--external", "0"], "local and external are both 0"),
        (["--schedule", "cosine"], "schedule is cosine but total_steps is not set"),
        (["--total-steps", "100"], "total_steps is set but schedule is constant"),
        (["--group-size", "1"], "error: --group-size: learning.group_size: input should be greater than"),
        (["--dtype", "int8"], "error: --dtype: policy.dtype: input should be 'auto', 'float32'"),
        (
            ["--algorithm", "ppo2"],
            "error: --algorithm: learning.algorithm: input should be 'grpo', 'dr_grpo', 'gspo' or",
        ),
        (["--sampler", "best"], "error: --sampler: learning.sampler: input should be 'uniform', 'scored' or"),
        (
            ["--external-loss", "none"],
            "learning.external_loss: input should be 'as_own', 'topr', 'tis', 'f_tis', 'hacpo' or 'imitate'",
        ),
        (["--http", "here"], "error: --http: observe.http: 'here' is not HOST:PORT"),
        (["--port", "70000"], "error: --port: network.port: input should be less than or equal to 65535"),
        (["--lora", "16"], "'16' is not r=RANK or r=RANK,alpha=ALPHA"),
        (["--lora", "alpha=16"], "'alpha=16' is not r=RANK or"),
        (["--template-arg", "thinking"], "'thinking' is not NAME=VALUE, such as enable_thinking=false"),
        (["--template-arg", "=1"], "'=1' is not NAME=VALUE"),
        (["--template-arg", "a=1", "--template-arg", "a=2"], "a is given twice"),
        (
            ["--template-arg", "a-b=1"],
            "error: --template-arg: policy.template_args: 'a-b' is not a name that a chat template can read",
        ),
        (
            ["--stop", ""],
            "error: --stop: policy.stop: '' has 0 characters: a stop text has 1 to 64",
        ),
        (["--steps", "many"], "error: --steps: input should be a whole number (got 'many')"),
        (["--locl", "4"], "no such option: --locl"),
    ],
)
def test_a_wrong_flag_is_one_message_and_exit_code_2(swarmd, daemon, tmp_path, arguments, message) -> None:
    outcome = swarmd("join", "--home", tmp_path / "h", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert daemon == []
    assert not (tmp_path / "h").exists()


def test_broken_toml_is_named_with_its_line(swarmd, daemon, tmp_path) -> None:
    (tmp_path / "config.toml").write_text("[learning]\nlocal = \n")
    outcome = swarmd("join", "--home", tmp_path)
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {tmp_path}/config.toml is not valid TOML: ")
    assert "at line 2" in outcome.err


def test_a_home_that_cannot_be_made_is_named(swarmd, daemon, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    outcome = swarmd("join", "--home", tmp_path / "file")
    assert outcome.code == 2
    assert str(tmp_path / "file") in outcome.err
    assert "Traceback" not in outcome.err


def test_a_bug_keeps_its_traceback_and_has_an_exit_code_of_its_own(monkeypatch, swarmd, tmp_path) -> None:
    def broken(*_: object) -> int:
        raise KeyError("bug")

    monkeypatch.setattr("swarmd.daemon.run", broken)
    outcome = swarmd("join", "--home", tmp_path)
    assert outcome.code == exit_codes.BUG
    assert "Traceback" in outcome.err
    assert "KeyError: 'bug'" in outcome.err


def test_init_says_who_the_peer_is_and_where_things_are(swarmd, tmp_path) -> None:
    first = swarmd("init", "--home", tmp_path / "h")
    home = Home.existing(tmp_path / "h")
    assert first.code == 0
    for expected in (home.key().peer_id, str(home.path), str(home.identity_path), str(home.config_path)):
        assert expected in first.out
    assert swarmd("init", "--home", tmp_path / "h").out == first.out
    assert first.out.splitlines()[-1] == f"next     swarmd join --home {home.path}"
    assert swarmd("init").out.splitlines()[-1] == "next     swarmd join"


def test_a_home_of_a_user_that_is_not_there_is_one_message(swarmd) -> None:
    outcome = swarmd("status", "--home", "~nobody-of-this-name/x")
    assert outcome.code == 2
    assert "there is no such user" in outcome.err


def test_init_refuses_a_wrong_config_file(swarmd, tmp_path) -> None:
    (tmp_path / "config.toml").write_text("[learning]\nlocl = 4\n")
    outcome = swarmd("init", "--home", tmp_path)
    assert outcome.code == 2
    assert "line 2: learning.locl: unknown; did you mean learning.local?" in outcome.err


def test_version_names_what_matters_in_a_bug_report(swarmd) -> None:
    out = swarmd("version").out
    for name in ("swarmd 0.1.0", "python 3", "torch ", "hivemind ", "reasoning-gym "):
        assert name in out


def test_help_lists_the_commands_and_join_explains_every_flag_with_its_default(swarmd) -> None:
    top = swarmd("--help")
    assert top.code == 0
    for command in ("join", "status", "init", "eval", "records", "version"):
        assert command in top.out
    text = " ".join(swarmd("join", "--help").out.replace("│", " ").split())
    for flag in FLAGS.values():
        assert f"{flag} " in text
    assert "Own groups per step (I in the paper). (default: 4)" in text
    for panel in ("Swarm", "Network", "Model", "Learning", "Daemon"):
        assert f"─ {panel} ─" in text


@pytest.mark.parametrize("command", [["--help"], ["version"], ["status", "--home", "nowhere"]])
def test_quick_commands_do_not_import_torch(command: list[str]) -> None:
    code = f"import sys; from swarmd.cli.app import main\ntry: main({command!r})\nexcept SystemExit: pass\n"
    code += "sys.exit('torch' in sys.modules or 'hivemind' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr

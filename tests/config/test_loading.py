"""load_config: who wins, and what an operator is told about a mistake."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from swarmd.config import Config, LearningConfig, default_config_toml, load_config
from swarmd.errors import ConfigError

PEER = "/ip4/10.0.0.7/tcp/41000/p2p/12D3KooWHBcFcrGPXKUrHcxvd8MXEeUzRYyvY8fQcpEBxncSUwhj"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("SWARMD_"):
            monkeypatch.delenv(name)


def write(home: Path, text: str) -> Path:
    (home / "config.toml").write_text(text, encoding="utf-8")
    return home


def refusal(home: Path, overrides: dict | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(home, overrides or {})
    return str(caught.value)


def test_an_empty_home_gives_the_defaults(tmp_path: Path) -> None:
    assert load_config(tmp_path, {}) == Config(home=tmp_path)
    assert load_config(tmp_path, {}).observe.http is None


def test_flags_win_over_environment_over_file_over_defaults(tmp_path, monkeypatch) -> None:
    write(tmp_path, "[learning]\nlocal = 1\nexternal = 1\ngroup_size = 4\n")
    monkeypatch.setenv("SWARMD_LEARNING__LOCAL", "2")
    monkeypatch.setenv("SWARMD_LEARNING__EXTERNAL", "2")
    learning = load_config(tmp_path, {"learning": {"local": 3}}).learning
    assert (learning.local, learning.external, learning.group_size) == (3, 2, 4)
    assert learning.warmup_steps == LearningConfig().warmup_steps


def test_top_level_settings_come_from_the_environment_too(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_SWARM", "sapo")
    monkeypatch.setenv("SWARMD_SEED", "7")
    monkeypatch.setenv("SWARMD_STEPS", "")
    config = load_config(tmp_path, {})
    assert (config.swarm, config.seed, config.steps) == ("sapo", 7, None)


@pytest.mark.parametrize("value", [PEER, f"{PEER},{PEER}", f'["{PEER}"]'])
def test_lists_in_the_environment_are_commas_or_json(tmp_path, monkeypatch, value) -> None:
    monkeypatch.setenv("SWARMD_NETWORK__PEERS", value)
    assert set(load_config(tmp_path, {}).network.peers) == {PEER}


def test_home_is_the_caller_s_and_the_variable_for_it_is_not_a_setting(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_HOME", "/elsewhere")
    assert load_config(tmp_path, {}).home == tmp_path
    write(tmp_path, 'home = "/elsewhere"\n')
    assert "line 1: home cannot be set here: use --home or SWARMD_HOME" in refusal(tmp_path)


def test_broken_toml_is_named_with_its_line(tmp_path) -> None:
    message = refusal(write(tmp_path, "[learning]\nlocal = 4\nexternal 4\n"))
    assert message.startswith(f"{tmp_path}/config.toml is not valid TOML: ")
    assert "at line 3" in message
    assert "'external 4'" in message


def test_a_broken_line_with_a_token_is_not_shown(tmp_path) -> None:
    message = refusal(write(tmp_path, "[observe]\nhttp_token = secret-of-mine\n"))
    assert "at line 2" in message
    assert "secret" not in message


def test_an_unknown_key_is_named_with_file_line_and_a_close_match(tmp_path) -> None:
    message = refusal(write(tmp_path, "seed = 1\n[learning]\n# how many\nlocl = 4\n"))
    assert message == f"{tmp_path}/config.toml, line 4: learning.locl: unknown; did you mean learning.local?"


def test_a_key_in_the_wrong_section_is_sent_to_the_right_one(tmp_path) -> None:
    message = refusal(write(tmp_path, "[policy]\ngroup_size = 4\n"))
    assert message.endswith("policy.group_size: unknown; did you mean learning.group_size?")


def test_a_key_like_nothing_is_only_called_unknown(tmp_path) -> None:
    assert refusal(write(tmp_path, "banana = 4\n")).endswith("line 1: banana: unknown")


def test_a_bad_value_in_the_file_is_named_with_its_line(tmp_path) -> None:
    message = refusal(write(tmp_path, "[learning]\nlocal = 4\ngroup_size = 1\n"))
    expected = "line 3: learning.group_size: input should be greater than or equal to 2 (got 1)"
    assert message == f"{tmp_path}/config.toml, {expected}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"seed = 0x{'f' * 5_000}\n", "line 1: seed: input should be less than 4294967296"),
        (f"seed = {'1' * 5_000}\n", "is not valid TOML: Exceeds the limit"),
        (
            '[learning]\nexternal_baseline = "xgrpo"\n',
            "line 1: learning: external_baseline is xgrpo, which compares all peers' answers to one question "
            "and so works only in experiments: use group or shared",
        ),
        ("[observe]\nhttp_token = 1234567890123456\n", "http_token: a token is text: write it in quotes"),
        ('[observe]\nhttp_token = ["1234567890123456"]\n', "http_token: a token is text: write it in quotes"),
    ],
    ids=["hexadecimal", "decimal", "for experiments", "token as a number", "token in a list"],
)
def test_a_value_that_no_peer_can_have_is_refused_in_one_line(tmp_path, text: str, said: str) -> None:
    message = refusal(write(tmp_path, text))
    assert said in message
    assert "1234567890123456" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "setting",
    [
        'swarm = ""',
        '[learning]\njudge = ""',
        '[learning]\nreward_model = " "',
        '[network]\naddress_file = ""',
    ],
)
def test_an_empty_name_in_the_file_is_not_taken_for_a_missing_one(tmp_path: Path, setting: str) -> None:
    (tmp_path / "config.toml").write_text(setting)
    with pytest.raises(ConfigError, match=r"line \d.*the value is empty: give one, or remove the setting"):
        load_config(tmp_path, {})


def test_a_bad_value_in_the_environment_names_the_variable(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_LEARNING__LOCAL", "many")
    assert refusal(tmp_path).startswith(
        "environment variable SWARMD_LEARNING__LOCAL: learning.local: input should"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_ENDPOINT", "http://localhost:abc"),
        ("HF_ENDPOINT", "http://[::1"),
        ("HF_ENDPOINT", "hub"),
        ("HF_HUB_ETAG_TIMEOUT", "ten"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", ""),
    ],
)
def test_what_would_end_the_hubs_library_when_it_is_imported_is_refused(
    tmp_path, monkeypatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert refusal(tmp_path).startswith(f"environment variable {name} is {value!r}: give ")


@pytest.mark.parametrize("value", ["https://hub.example", "http://127.0.0.1:8080/", ""])
def test_the_address_of_another_hub_is_taken(tmp_path, monkeypatch, value: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", value)
    assert load_config(tmp_path, {}).home == tmp_path


def test_a_misspelt_variable_is_refused_with_a_close_match(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_LERNING__LOCAL", "4")
    assert refusal(tmp_path) == (
        "environment variable SWARMD_LERNING__LOCAL: unknown; did you mean SWARMD_LEARNING__LOCAL?"
    )


def test_a_misspelt_key_of_a_section_in_the_environment_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_LEARNING__LOCL", "4")
    assert "SWARMD_LEARNING__LOCL: learning.locl: unknown; did you mean learning.local?" in refusal(tmp_path)


@pytest.mark.parametrize("overrides", [{}, {"learning": {"local": 2}}])
def test_a_section_that_is_no_table_is_refused_even_if_something_else_sets_its_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: dict
) -> None:
    write(tmp_path, "seed = 1\nlearning = 3\n")
    message = refusal(tmp_path, overrides)
    assert f"{tmp_path / 'config.toml'}, line 2: learning: is a section, not a setting" in message
    write(tmp_path, "")
    monkeypatch.setenv("SWARMD_LEARNING", "3")
    message = refusal(tmp_path, overrides)
    assert message.startswith("environment variable SWARMD_LEARNING: learning: is a section")
    assert message.endswith("set its keys, such as learning.local")
    monkeypatch.setenv("SWARMD_LEARNING", '{"local": 3}')
    assert load_config(tmp_path, {}).learning.local == 3


@pytest.mark.parametrize(
    ("name", "setting", "instead"),
    [
        ("SWARMD_SWARM__X", "swarm", "SWARMD_SWARM"),
        ("SWARMD_LEARNING__LOCAL__X", "learning.local", "SWARMD_LEARNING__LOCAL"),
        ("SWARMD_NETWORK__PEERS__X", "network.peers", "SWARMD_NETWORK__PEERS"),
    ],
)
def test_a_variable_for_a_part_of_a_setting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, setting: str, instead: str
) -> None:
    monkeypatch.setenv(instead, "")
    monkeypatch.setenv(name, "3")
    assert refusal(tmp_path) == (
        f"environment variable {name}: unknown, because {setting} has no parts: set {instead}"
    )


def test_variables_that_others_set_are_left_alone(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_SERVICE_HOST", "10.0.0.1")
    assert load_config(tmp_path, {}).home == tmp_path


def test_a_bad_flag_is_named(tmp_path) -> None:
    message = refusal(tmp_path, {"learning": {"local": 5000}})
    assert message == "--local: learning.local: input should be less than or equal to 1024 (got 5000)"


def test_every_mistake_is_reported_at_once(tmp_path) -> None:
    message = refusal(write(tmp_path, "[learning]\nlocal = -1\n[storage]\ncheckpoint_every = 0\n"))
    assert len(message.splitlines()) == 2


def test_nothing_to_learn_from_is_refused(tmp_path) -> None:
    message = refusal(write(tmp_path, "[learning]\nlocal = 0\nexternal = 0\n"))
    assert message == (
        f"{tmp_path}/config.toml, line 1: learning: local and external are both 0, "
        "which leaves nothing to learn from: raise one"
    )


def test_a_cosine_without_an_end_is_refused(tmp_path) -> None:
    message = refusal(tmp_path, {"learning": {"schedule": "cosine"}})
    assert "learning: schedule is cosine but total_steps is not set" in message


def test_an_end_of_a_schedule_that_has_none_is_refused(tmp_path) -> None:
    message = refusal(write(tmp_path, "[learning]\ntotal_steps = 9\n"))
    assert message.startswith(f"{tmp_path}/config.toml, line 1: learning: total_steps is set but schedule is")
    assert "set schedule to cosine" in message


def test_a_lora_scale_without_a_rank_is_refused(tmp_path) -> None:
    assert "set lora_rank too" in refusal(tmp_path, {"policy": {"lora_alpha": 32}})


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.0.0.7:41000", "does not begin with /"),
        ("/ip4/10.0.0/tcp/1/p2p/x", "'10.0.0' is not an IP address"),
        ("/ip4/10.0.0.7/tcp/99999", "port '99999' is not a number from 1 to 65535"),
        ("/ip4/10.0.0.7/tcp/41000", "the peer id is missing at its end"),
        ("/ip4/10.0.0.7/tcp/41000/p2p/12D3Koo", "is not an Ed25519 peer id"),
        ("/ip4/10.0.0.7/tcp", "/tcp has no value"),
        ("/ip4/10.0.0.7/p2p/12D3KooWHBcFcrGPXKUrHcxvd8MXEeUzRYyvY8fQcpEBxncSUwhj", "the port is missing"),
        ("/carrier/pigeon", "/carrier is not known here"),
    ],
)
def test_a_malformed_multiaddr_is_refused_with_the_reason(tmp_path, address, reason) -> None:
    message = refusal(tmp_path, {"network": {"peers": [address]}})
    assert message.startswith(f"--peer: network.peers: peer address {address!r} is malformed: ")
    assert reason in message
    assert "expected /ip4/ADDRESS/tcp/PORT/p2p/PEER_ID" in message


@pytest.mark.parametrize(
    "address",
    [PEER, PEER.replace("ip4/10.0.0.7", "dns4/boot.example.org"), f"{PEER}/p2p-circuit{PEER[-57:]}"],
)
def test_addresses_that_p2pd_dials_are_taken(tmp_path, address) -> None:
    assert load_config(tmp_path, {"network": {"peers": [address]}}).network.peers == (address,)


def test_announced_addresses_need_no_peer_id_and_hosts_must_be_ip_addresses(tmp_path) -> None:
    assert load_config(tmp_path, {"network": {"announce": ["/ip4/1.2.3.4/tcp/4000"]}})
    assert "the port is missing" in refusal(tmp_path, {"network": {"announce": ["/ip4/1.2.3.4"]}})
    assert "'localhost' is not an IP address" in refusal(tmp_path, {"network": {"host": "localhost"}})


@pytest.mark.parametrize(
    ("http", "fault"),
    [("localhost:http", "'http' is not a port"), ("127.0.0.1", "'127.0.0.1' is not a port")],
)
def test_a_malformed_http_address_is_refused(tmp_path, http, fault) -> None:
    message = refusal(tmp_path, {"observe": {"http": http}})
    assert "is not HOST:PORT" in message
    assert fault in message


def test_a_file_that_is_not_text_is_refused(tmp_path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text" in refusal(tmp_path)


def test_the_written_file_is_all_comments_and_names_every_setting(tmp_path) -> None:
    text = default_config_toml()
    assert load_config(write(tmp_path, text), {}) == Config(home=tmp_path)
    assert all(not table for table in tomllib.loads(text).values())


def test_the_written_file_s_defaults_are_valid_once_uncommented(tmp_path) -> None:
    text = default_config_toml()
    settings = [
        line for line in text.splitlines() if line.startswith("# ") and "unset by default" not in line
    ]
    uncommented = "\n".join(line[2:] if line in settings[2:] else line for line in text.splitlines())
    assert load_config(write(tmp_path, uncommented), {}) == Config(home=tmp_path)


def test_a_broken_list_in_the_environment_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_NETWORK__PEERS", '["')
    assert "network" in refusal(tmp_path)


def test_the_former_name_of_a_setting_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[policy]\ngenerator = "eager"\n')
    assert load_config(tmp_path, {}).policy.engine == "eager"


TEXTS = [
    (section, name)
    for section, sub in ((name, field.annotation) for name, field in Config.model_fields.items())
    if isinstance(sub, type) and issubclass(sub, BaseModel)
    for name in sub.model_fields
]


@pytest.mark.parametrize(
    "value", ["n" * 5_000, "9" * 5_000, f"{'9' * 400}GiB"], ids=["text", "digits", "size"]
)
def test_no_value_however_long_is_quoted_in_full_or_ends_in_a_bug(tmp_path: Path, value: str) -> None:
    told = []
    for section, name in TEXTS:
        write(tmp_path, f'[{section}]\n{name} = "{value}"\n')
        try:
            load_config(tmp_path, {})
        except ConfigError as error:
            told.append(str(error))
    assert len(told) > len(TEXTS) / 2, "few settings take any text"
    assert max(map(len, told)) < 1_000 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("SWARMD_POLICY__TEMPLATE_ARGS", "thinking=true", "policy.template_args: "),
        ("SWARMD_POLICY", "[1]", "policy: is a section"),
    ],
)
def test_a_part_beside_a_value_that_has_no_parts_is_refused_in_one_line(
    tmp_path, monkeypatch, name: str, text: str, told: str
):
    monkeypatch.setenv(name, text)
    monkeypatch.setenv("SWARMD_POLICY__TEMPLATE_ARGS__BUDGET", "3")
    with pytest.raises(ConfigError, match=told):
        load_config(tmp_path, {})


def test_a_misspelt_variable_in_lower_case_is_refused_too(tmp_path, monkeypatch):
    monkeypatch.setenv("swarmd_learning__local", "3")
    assert load_config(tmp_path, {}).learning.local == 3
    monkeypatch.setenv("swarmd_lerning__local", "3")
    with pytest.raises(ConfigError, match="did you mean SWARMD_LEARNING__LOCAL"):
        load_config(tmp_path, {})


def test_a_setting_with_parts_may_be_set_by_a_variable_for_each(tmp_path, monkeypatch):
    monkeypatch.setenv("SWARMD_POLICY__TEMPLATE_ARGS__VOICE", "calm")
    assert load_config(tmp_path, {}).policy.template_args == {"voice": "calm"}

"""Settings of the policy that shape what it reads and where it stops."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from swarmd.config import PolicyConfig, load_config
from swarmd.config.template import toml_value
from swarmd.errors import ConfigError


def test_by_default_the_template_has_no_arguments_and_no_text_ends_a_completion() -> None:
    assert (PolicyConfig().template_args, PolicyConfig().stop) == ({}, ())


def test_template_arguments_are_a_table_of_the_file_and_keep_their_types(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[policy]\nstop = ["</answer>"]\n[policy.template_args]\nthinking = false\nbudget = 1\nstyle = "1"\n'
    )
    policy = load_config(tmp_path, {}).policy
    assert policy.template_args == {"thinking": False, "budget": 1, "style": "1"}
    assert policy.template_args["thinking"] is False
    assert policy.stop == ("</answer>",)


def test_template_arguments_come_from_the_environment_as_json(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_POLICY__TEMPLATE_ARGS", '{"thinking": false}')
    assert load_config(tmp_path, {}).policy.template_args == {"thinking": False}


def test_one_template_argument_from_the_environment_is_read_as_its_flag_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWARMD_POLICY__TEMPLATE_ARGS", '{"style": "1"}')
    for name, text in {"THINKING": "false", "BUDGET": "3", "TONE": "calm", "NOTHING": ""}.items():
        monkeypatch.setenv(f"SWARMD_POLICY__TEMPLATE_ARGS__{name}", text)
    args = load_config(tmp_path, {}).policy.template_args
    assert args == {"style": "1", "thinking": False, "budget": 3, "tone": "calm"}
    assert args["thinking"] is False, "the text 'false' is true to a template"
    monkeypatch.setenv("swarmd_policy__template_args__lower", "false")
    assert load_config(tmp_path, {}).policy.template_args["lower"] is False


def test_template_arguments_cannot_be_changed() -> None:
    given = {"a": 1}
    args = PolicyConfig(template_args=given).template_args
    given["a"] = 2
    assert args == {"a": 1}
    with pytest.raises(TypeError):
        args["a"] = 2  # type: ignore[index]
    assert hash(PolicyConfig(template_args=args)) == hash(PolicyConfig(template_args={"a": 1}))


def test_a_policy_written_out_and_read_again_is_the_same() -> None:
    policy = PolicyConfig(template_args={"a": True, "b": 1.5}, stop=("x", "y"))
    assert PolicyConfig.model_validate(policy.model_dump()) == policy
    assert PolicyConfig.model_validate_json(policy.model_dump_json()) == policy


@pytest.mark.parametrize(
    ("args", "fault"),
    [
        ({f"a{number}": 1 for number in range(17)}, "17 arguments are given: at most 16 are allowed"),
        ({"a" * 65: 1}, "is not a name that a chat template can read"),
        ({"": 1}, "is not a name that a chat template can read"),
        ({"a": [1]}, "[1] is no chat template argument: use true, false, a number or text"),
        ({"a": float("nan")}, "nan is no chat template argument"),
    ],
)
def test_other_template_arguments_are_refused(tmp_path: Path, args: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path, {"policy": {"template_args": args}})
    assert fault in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith("--template-arg: policy.template_args: ")


@pytest.mark.parametrize(
    ("stop", "fault"),
    [
        (("",), "'' has 0 characters: a stop text has 1 to 64"),
        (("x" * 65,), "has 65 characters: a stop text has 1 to 64"),
        (("x",) * 9, "9 stop texts are given: at most 8 are allowed"),
    ],
)
def test_at_most_eight_texts_of_at_most_64_characters_end_a_completion(
    tmp_path: Path, stop: tuple[str, ...], fault: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^--stop: policy\.stop: [^\n]*{fault}$"):
        load_config(tmp_path, {"policy": {"stop": list(stop)}})
    assert PolicyConfig(stop=("x" * 64,) * 8).stop


@pytest.mark.parametrize(
    "value", [{"a": False, "ü b": "x"}, {}, ["</answer>", '\x7f\n\u2028😀"'], 1e-4, True]
)
def test_a_setting_written_as_toml_is_read_back_the_same(value: object) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}") == {"x": value}

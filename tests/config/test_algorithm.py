"""Settings of the policy gradient: what does not go together is refused, naming the keys."""

import pytest
from pydantic import ValidationError

from swarmd.config import LearningConfig, load_config
from swarmd.errors import ConfigError


def refusal(**settings):
    with pytest.raises(ValidationError) as caught:
        LearningConfig(**settings)
    return str(caught.value)


def test_an_unknown_algorithm_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"learning\.algorithm"):
        load_config(tmp_path, {"learning": {"algorithm": "ppo2"}})


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("gspo", "clip_low"),
        ("gspo", "clip_high"),
        ("grpo", "gspo_clip_low"),
        ("dr_grpo", "gspo_clip_high"),
        ("ppo", "gspo_clip_low"),
        ("grpo", "gae_lambda"),
        ("dr_grpo", "value_learning_rate"),
    ],
)
def test_a_setting_that_the_algorithm_does_not_read_is_refused(algorithm, key):
    message = refusal(algorithm=algorithm, **{key: 0.1})
    assert f"{key} is set but algorithm is {algorithm}" in message


def test_the_default_external_loss_is_the_one_that_teaches_what_a_peer_cannot_do_and_ppos_its_only_one():
    assert LearningConfig().external_loss == "imitate"
    assert LearningConfig(algorithm="ppo").external_loss == "as_own"


def test_of_others_text_what_was_verified_is_trained_on_and_all_of_it_by_the_papers_rule():
    assert LearningConfig().external_tokens == "verified"
    for loss in ("topr", "tis", "imitate"):
        assert LearningConfig(external_loss=loss).external_tokens == "verified"
    assert LearningConfig(external_loss="as_own").external_tokens == "all"
    assert LearningConfig(external_loss="as_own", external_tokens="verified").external_tokens == "verified"
    assert LearningConfig(algorithm="ppo").external_tokens == "all"


def test_ppo_trains_on_all_tokens_of_others():
    message = refusal(algorithm="ppo", external_tokens="verified")
    assert "algorithm is ppo" in message
    assert "external_tokens to all" in message
    assert LearningConfig(algorithm="ppo", external_tokens="verified", external=0).external == 0


@pytest.mark.parametrize("external_loss", ["topr", "tis", "imitate"])
def test_ppo_has_no_advantage_for_losses_of_whole_completions(external_loss):
    message = refusal(algorithm="ppo", external_loss=external_loss)
    assert "algorithm is ppo" in message
    assert f"external_loss {external_loss}" in message
    assert LearningConfig(algorithm="ppo", external_loss=external_loss, external=0).external == 0


def test_ppo_needs_own_groups_for_its_value_head():
    assert "local is 0" in refusal(algorithm="ppo", local=0)


@pytest.mark.parametrize("algorithm", ["grpo", "dr_grpo", "gspo", "ppo"])
def test_a_config_written_out_whole_and_read_again_is_the_same(algorithm):
    config = LearningConfig(algorithm=algorithm)
    assert LearningConfig.model_validate(config.model_dump()) == config


def test_the_mix_is_measured_unless_the_numbers_of_groups_are_set():
    assert LearningConfig().mix == "measured"
    assert LearningConfig(rehearse=8, external_baseline="shared").mix == "measured"
    for settings in ({"local": 4}, {"external": 4}, {"external_fill": 8}, {"external_baseline": "xgrpo"}):
        assert LearningConfig.model_validate(settings).mix == "fixed"
    assert LearningConfig(local=2, mix="measured").mix == "measured"


def test_a_sampler_that_never_draws_groups_that_are_right_throughout_does_not_go_with_the_shared_baseline():
    message = refusal(external_baseline="shared", sampler="scored")
    assert "set sampler to need or uniform, or external_baseline to group" in message
    for sampler in ("need", "uniform"):
        assert LearningConfig(external_baseline="shared", sampler=sampler).takes_all_right
    assert LearningConfig(sampler="scored").external_baseline == "group"


@pytest.mark.parametrize("settings", [{"local": 0}, {"external_fill": 8}])
def test_a_measured_mix_needs_own_groups_and_sets_the_fill_itself(settings):
    message = refusal(mix="measured", **settings)
    assert "set local to 1 or more and remove external_fill, or set mix to fixed" in message

"""What a peer remembers of its own success and of others' text."""

import json
import math
from dataclasses import replace

import pytest

from swarmd.groups import ScoredCompletion
from swarmd.learning import Experience
from swarmd.learning.experience import MEMORY, PUBLISHERS_MAX
from tests.learning.conftest import own_group


class Model:
    family, tokenizer_fingerprint = "tiny", bytes(8)


def own(*rewards, text="four", nats=2.0):
    return own_group(
        Model, "2+2?", [ScoredCompletion(text, r, True, behaviour_logprob_sum=-nats) for r in rewards]
    )


def test_success_is_the_mean_reward_of_own_groups_by_family():
    experience = Experience()
    assert experience.success == {}
    experience.see_own([own(0.0, 1.0), own(1.0, 1.0)])
    assert experience.success == {bytes(16): 0.75}


def test_old_groups_are_outweighed_as_the_policy_changes():
    experience = Experience()
    experience.see_own([own(0.0)] * 1000)
    experience.see_own([own(1.0)] * MEMORY)
    assert 0.6 < experience.success[bytes(16)] < 0.7  # 1 - (1 - 1/n)^n, about 1 - 1/e


def test_the_share_of_groups_that_teach_is_of_recent_ones():
    experience = Experience()
    assert experience.teaching_share is None
    experience.see_own([own(0.0, 1.0), own(1.0, 1.0), own(0.0, 0.0), own(0.0, 0.0)])
    assert experience.teaching_share == 0.25
    resumed = Experience()
    resumed.restore(json.loads(json.dumps(experience.to_state())))
    assert resumed.teaching_share == 0.25


def test_capability_is_the_mean_reward_of_everybody_who_was_asked_the_same():
    experience = Experience()
    other = replace(own(1.0, 0.0), publisher="other", external=True)
    experience.see_everybody([own(0.0, 1.0), own(0.0, 0.0)], [other])
    assert experience.capability == {"me": 0.25, "other": 0.25}
    experience.see_everybody([own(1.0, 1.0), own(1.0, 1.0)], [])
    assert experience.capability == {"me": 0.625, "other": 0.125}, "who sends nothing was wrong throughout"
    resumed = Experience()
    resumed.restore(json.loads(json.dumps(experience.to_state())))
    assert resumed.capability == experience.capability


@pytest.mark.parametrize("silent", [1, MEMORY - 1, 3 * MEMORY])
def test_capability_counts_the_rounds_before_a_peer_is_first_heard(silent):
    experience = Experience()
    experience.see_everybody([own(0.0, 0.0)], [replace(own(0.0, 0.01), publisher="early", external=True)])
    for _ in range(silent - 1):
        experience.see_everybody([own(0.0, 0.0)], [])
    late = replace(own(1.0, 0.0), publisher="late", external=True)
    experience.see_everybody([own(0.0, 0.0)], [late, replace(late, publisher="early")])
    capability = experience.capability
    assert capability["late"] == pytest.approx(0.5 / min(silent + 1, MEMORY))
    assert capability["late"] == pytest.approx(capability["early"], abs=0.005), "as one heard from the start"


def test_own_surprisal_is_in_nats_per_byte():
    experience = Experience()
    assert experience.own_surprisal is None
    experience.see_own([own(0.0, 1.0, text="é", nats=3.0)])
    assert experience.own_surprisal == pytest.approx(1.5)
    experience.see_own([own(0.0, text="", nats=3.0)])
    assert experience.own_surprisal == pytest.approx(1.5), "an empty text has no bytes to be surprised at"


def test_surprisal_is_kept_by_publisher_and_what_overflowed_is_not():
    experience = Experience()
    experience.see_external({"a": 1.0, "b": math.nan})
    experience.see_external({"a": 2.0, "c": math.inf})
    assert experience.surprisal == {"a": 1.5}


def test_a_crowd_of_publishers_is_forgotten_the_oldest_first():
    experience = Experience()
    experience.see_external({f"p{n}": 1.0 for n in range(PUBLISHERS_MAX)})
    experience.see_external({"p0": 1.0, "new": 1.0})
    assert len(experience.surprisal) == PUBLISHERS_MAX
    assert {"p0", "new"} <= experience.surprisal.keys()
    assert "p1" not in experience.surprisal


def test_it_comes_back_from_json_and_goes_on_as_before():
    first, second = Experience(), Experience()
    first.see_own([own(0.0, 1.0)])
    first.see_external({"a": 1.0})
    # Through pydantic in the daemon, so lists may be tuples again.
    second.restore(json.loads(json.dumps(first.to_state())))
    for experience in (first, second):
        experience.see_own([own(1.0, 1.0)])
        experience.see_external({"a": 2.0})
    assert second.success == first.success
    assert second.surprisal == first.surprisal
    assert second.own_surprisal == first.own_surprisal


def test_others_success_counts_the_groups_that_they_hid():
    experience = Experience()
    experience.see_others([own(1.0, 1.0), own(0.0, 1.0), own(1.0, 0.0)])  # one of four had none right
    assert experience.others == {bytes(16): pytest.approx(0.5, abs=0.01)}
    resumed = Experience()
    resumed.restore(json.loads(json.dumps(experience.to_state())))
    assert resumed.others == experience.others


def test_what_an_older_checkpoint_says_others_showed_is_learned_anew():
    experience = Experience()
    experience.restore({"shown": {bytes(16).hex(): (0.9, 16)}})
    assert experience.others == {}
    experience.see_others([own(1.0, 1.0)])
    assert experience.others == {bytes(16): pytest.approx(1.0, abs=0.01)}


def test_own_groups_that_no_judge_judged_say_nothing_about_success():
    experience = Experience()
    unjudged = replace(own(0.0, 0.0), confidence=0.0)
    experience.see_own([unjudged])
    assert experience.success == {}
    experience.see_own([own(1.0, 0.0), unjudged])
    assert experience.success == {bytes(16): 0.5}
    experience.see_everybody([own(1.0, 0.0), unjudged], [replace(own(1.0, 1.0), publisher="other")])
    assert experience.capability == {}

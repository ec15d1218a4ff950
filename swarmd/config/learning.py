"""The settings of one policy update, and which of them can be combined."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from swarmd.config.base import NOT_EMPTY, STEPS_MAX, Flag, Slice

READ_BY = {
    "clip_low": ("grpo", "dr_grpo", "ppo"),
    "clip_high": ("grpo", "dr_grpo", "ppo"),
    "gspo_clip_low": ("gspo",),
    "gspo_clip_high": ("gspo",),
    "gae_gamma": ("ppo",),
    "gae_lambda": ("ppo",),
    "value_learning_rate": ("ppo",),
    "value_clip": ("ppo",),
    "external_baseline": ("grpo", "dr_grpo", "gspo"),
}
"""Settings of [learning] that only some algorithms use."""


NUMBERS = frozenset({"local", "external", "external_fill"})
"""Settings of [learning] that say how many groups a step uses."""

ASKS_THE_SAME = ("xgrpo", "sgt", "hacpo")
"""Values of external_baseline for which all nodes of an experiment are asked the same questions."""


class LearningConfig(Slice):
    """One policy update: how many groups of each kind, and how the policy learns from them."""

    local: Annotated[int, Flag("--local")] = Field(4, ge=0, le=1024)
    """Own groups per step (I in the paper)."""
    external: Annotated[int, Flag("--external")] = Field(4, ge=0, le=1024)
    """Groups by other peers per step (J in the paper). 0 trains alone."""
    external_fill: int | None = Field(None, ge=1, le=2048, examples=[8])
    """Target number of groups with an advantage per step, own and external. External groups are drawn only
    until the target is reached, and at most `external` of them. Unset: no limit but `external`.
    """
    mix: Literal["measured", "fixed"] = "measured"
    """measured: while few own groups teach, a step generates local + external own groups and fills up to as
    many that teach; if external groups cost more than own groups that teach, it draws none. fixed: local,
    external and external_fill apply as set. Where one of these is set, fixed is the default.
    """
    unended: Literal["wrong", "scored"] = "wrong"
    """Reward of a completion that was cut off while it continued past its answer: wrong (nothing) or scored
    (what the answer earns).
    """
    group_size: Annotated[int, Flag("--group-size")] = Field(8, ge=2, le=64)
    """Completions sampled per question (G)."""
    algorithm: Annotated[Literal["grpo", "dr_grpo", "gspo", "ppo"], Flag("--algorithm")] = "grpo"
    """Policy gradient: grpo (averaged over tokens), dr_grpo, gspo or ppo (with a value head)."""
    clip_low: float = Field(0.2, gt=0, lt=1)
    """A token's ratio is clipped below at 1 - clip_low (grpo, dr_grpo, ppo)."""
    clip_high: float = Field(0.28, gt=0)
    """A token's ratio is clipped above at 1 + clip_high (grpo, dr_grpo, ppo)."""
    gspo_clip_low: float = Field(3e-4, gt=0, lt=1)
    """A whole completion's ratio is clipped below at 1 - gspo_clip_low."""
    gspo_clip_high: float = Field(4e-4, gt=0)
    """A whole completion's ratio is clipped above at 1 + gspo_clip_high."""
    gae_gamma: float = Field(1.0, gt=0, le=1)
    """ppo's discount of a reward, per token until the reward comes."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """How ppo's advantages are estimated: 0 relies on the value head's next estimate, 1 on the reward alone.
    """
    value_learning_rate: float = Field(3e-4, gt=0, le=1)
    """Learning rate of ppo's value head."""
    value_clip: float = Field(0.2, gt=0)
    """How far ppo's value head may move its estimates on one batch."""
    kl_coefficient: float = Field(0.0, ge=0)
    """Weight of the KL divergence from the frozen starting model. 0 keeps no such model in memory."""
    external_coefficient: float = Field(1.0, ge=0)
    """lambda in L = L_local/N_local + lambda * L_external/N_external."""
    external_loss: Annotated[
        Literal["as_own", "topr", "tis", "f_tis", "hacpo", "imitate"], Flag("--external-loss")
    ] = "imitate"
    """How external tokens are weighted: imitate (correct completions only), topr, as_own (the paper's rule,
    and the only one for ppo), tis, f_tis (tis without wrong text that is far from this policy) or hacpo."""
    external_tokens: Literal["verified", "all"] = "verified"
    """Which tokens of external correct completions are trained on: verified (the answer, which was checked,
    and the text around it as far as this policy would write it itself) or all (the rule of the paper and of
    as_own).
    """
    external_baseline: Literal["group", "shared", "xgrpo", "sgt", "hacpo"] = "group"
    """Baseline of external rewards: group (the mean of their group, the paper's rule) or shared (half of that
    and half of this peer's own success on the task family, so that what it cannot do counts most, and groups
    that are right throughout are published and trained on). In experiments also xgrpo, sgt or hacpo, which
    compare answers to one question, so all nodes are asked the same questions.
    """
    sampler: Annotated[Literal["uniform", "scored", "need"], Flag("--sampler")] = "uniform"
    """How external groups that have an advantage are drawn: uniform (the paper's rule), scored, or need (by
    how much this peer would learn)."""
    judge: Annotated[str | None, NOT_EMPTY, Flag("--judge", "NAME|DIR|HUB_ID")] = Field(
        None, max_length=512, examples=["./my-judge"]
    )
    """Language model that judges here whether answers are right, in a swarm whose manifest asks for one.
    Unset: the one that the manifest names.
    """
    reward_model: Annotated[str | None, NOT_EMPTY, Flag("--reward-model", "DIR|HUB_ID")] = Field(
        None, max_length=512, examples=["./my-reward-model"]
    )
    """Sequence classifier that judges here, in a swarm whose manifest asks for one. Unset: the manifest's."""
    rehearse: int = Field(0, ge=0, le=1024)
    """Most external right answers trained on again per step, only from task families in which this peer
    succeeds less than half as often as others.
    """
    study: int = Field(0, ge=0, le=64)
    """Supervised updates per step, which from step study_from on replace the policy gradient. Each trains on
    64 of the right answers seen so far, own ones and others', evenly by task family. A step that has too few
    of these takes a policy gradient.
    """
    study_from: int = Field(0, ge=0, le=STEPS_MAX)
    """The first step that studies. Until then, a peer that is to study collects right answers."""
    study_rate: float = Field(5e-4, gt=0, le=1)
    """Peak learning rate while studying. It follows warmup_steps and schedule, counted from study_from."""
    needed_questions: float = Field(0.0, ge=0, le=0.9)
    """Largest share of own questions asked from task families in which this peer succeeds and others do not.
    The rest follow the weights of the swarm's tasks; at 0, all do.
    """
    learning_rate: Annotated[float, Flag("--lr")] = Field(1e-4, gt=0, le=1)
    """Peak learning rate of AdamW."""
    schedule: Annotated[Literal["constant", "cosine"], Flag("--schedule")] = "constant"
    """Learning rate after warm-up: constant, or cosine down to a tenth of the peak at total_steps."""
    warmup_steps: int = Field(5, ge=0, le=STEPS_MAX)
    """Steps over which the learning rate rises linearly to its peak. The first is not zero."""
    total_steps: Annotated[int | None, Flag("--total-steps")] = Field(
        None, ge=1, le=STEPS_MAX, examples=[500]
    )
    """Length of the cosine schedule, in steps. Required by that schedule, and only for it."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients with a larger norm are scaled down to this one."""
    updates_per_batch: int = Field(1, ge=1, le=16)
    """Optimiser steps per batch. Above 1, ratios leave 1 and the clip takes effect."""
    token_budget: int | None = Field(None, ge=64, examples=[4096])
    """Tokens trained on at once, counting a prompt once per group; gradients are accumulated. Unset: as many
    as fit into the memory limit.
    """

    @model_validator(mode="before")
    @classmethod
    def _ppo_and_the_paper_have_rules_of_their_own(cls, given: Any) -> Any:
        """Unless set otherwise, ppo uses as_own as its external loss, and as_own trains on all tokens."""
        if not isinstance(given, dict):
            return given
        if given.get("algorithm") == "ppo":
            given = {"external_loss": "as_own", **given}
        if given.get("external_loss") == "as_own":
            given = {"external_tokens": "all", **given}
        return given

    @model_validator(mode="before")
    @classmethod
    def _numbers_that_are_set_are_fixed(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "mix" in given:
            return given
        asks_the_same = given.get("external_baseline") in ASKS_THE_SAME
        return {"mix": "fixed", **given} if asks_the_same or given.keys() & NUMBERS else given

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> LearningConfig:
        if self.local + self.external == 0:
            raise ValueError("local and external are both 0, which leaves nothing to learn from: raise one")
        return self

    @model_validator(mode="after")
    def _measured_mix_has_both(self) -> LearningConfig:
        if self.mix == "measured" and (self.local == 0 or self.external_fill is not None):
            raise ValueError(
                "mix is measured, which depends on own groups and sets external_fill itself: set "
                "local to 1 or more and remove external_fill, or set mix to fixed"
            )
        return self

    @model_validator(mode="after")
    def _algorithm_reads_what_is_set(self) -> LearningConfig:
        for key, algorithms in READ_BY.items():
            # Compare values, not which fields were set: a config written out in full must load unchanged.
            changed = getattr(self, key) != type(self).model_fields[key].default
            if changed and self.algorithm not in algorithms:
                raise ValueError(
                    f"{key} is set but algorithm is {self.algorithm}, which does not use it: remove it, or "
                    f"choose algorithm {' or '.join(algorithms)}"
                )
        return self

    @model_validator(mode="after")
    def _ppo_has_what_it_needs(self) -> LearningConfig:
        if self.algorithm != "ppo":
            return self
        if self.local == 0:
            raise ValueError(
                "algorithm is ppo, whose value head learns from own groups, but local is 0: raise local, or "
                "choose another algorithm"
            )
        if self.external > 0 and self.external_loss != "as_own":
            raise ValueError(
                f"algorithm is ppo, which has no advantage per completion, but external_loss "
                f"{self.external_loss} needs one: set external_loss to as_own, set external to 0, or choose "
                "another algorithm"
            )
        if self.external > 0 and self.external_tokens != "all":
            raise ValueError(
                "algorithm is ppo, which gives each token its own advantage and so cannot train on verified "
                "tokens only: set external_tokens to all, set external to 0, or choose another algorithm"
            )
        return self

    @model_validator(mode="after")
    def _needed_questions_need_others(self) -> LearningConfig:
        if self.needed_questions and self.external == 0:
            raise ValueError(
                "needed_questions is set but external is 0, so what others need is unknown: raise "
                "external, or set needed_questions to 0"
            )
        if self.needed_questions and self.local == 0:
            raise ValueError(
                "needed_questions is set but local is 0, so this peer asks no questions: raise local, or set "
                "needed_questions to 0"
            )
        return self

    @model_validator(mode="after")
    def _lessons_need_an_advantage(self) -> LearningConfig:
        if self.rehearse and self.external == 0:
            raise ValueError(
                "rehearse is set but external is 0, so no right answer by others is seen: raise external, or "
                "set rehearse to 0"
            )
        if self.rehearse and self.external_baseline == "group":
            raise ValueError(
                "rehearse is set but external_baseline is group, which gives a single right answer no "
                "advantage: set external_baseline to shared, or rehearse to 0"
            )
        return self

    @model_validator(mode="after")
    def _the_shared_baseline_learns_from_all_right_groups(self) -> LearningConfig:
        if self.external_baseline == "shared" and self.sampler == "scored":
            raise ValueError(
                "external_baseline is shared, which also learns from groups that are right throughout, but "
                "sampler is scored, which weighs by the spread of rewards and never draws them: set sampler "
                "to need or uniform, or external_baseline to group"
            )
        return self

    @model_validator(mode="after")
    def _same_questions_come_from_everybody(self) -> LearningConfig:
        if not self.asks_the_same:
            return self
        if self.algorithm not in ("grpo", "gspo"):
            raise ValueError(
                f"external_baseline is {self.external_baseline}, which divides by the deviation of all "
                f"rewards, but algorithm is {self.algorithm}: choose algorithm grpo or gspo"
            )
        if self.local == 0 or self.external % self.local:
            raise ValueError(
                f"external_baseline is {self.external_baseline}, which needs groups of all other nodes, but "
                "external is not a multiple of local: set external to local times the number of other nodes"
            )
        if self.rehearse or self.needed_questions or self.mix == "measured":
            raise ValueError(
                f"external_baseline is {self.external_baseline}, for which all nodes are asked the same "
                "questions, but rehearse, needed_questions or mix goes beyond them: remove that setting"
            )
        if self.external_fill is not None or self.sampler != "uniform":
            raise ValueError(
                f"external_baseline is {self.external_baseline}, which counts a group that is not drawn as "
                "wrong, but external_fill or sampler may leave groups out: remove that setting"
            )
        return self

    @model_validator(mode="after")
    def _studying_begins_before_the_end(self) -> LearningConfig:
        ends = self.total_steps if self.schedule == "cosine" else None
        if self.study and ends is not None and self.study_from >= ends:
            raise ValueError(
                f"study_from is {self.study_from}, but the schedule ends at total_steps, which is {ends}: "
                "lower study_from, or raise total_steps"
            )
        for key in ("study_from", "study_rate"):
            if not self.study and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} is set but study is 0: set study to a number of updates, such as 32")
        return self

    @model_validator(mode="after")
    def _a_cosine_alone_has_an_end(self) -> LearningConfig:
        if self.schedule == "cosine" and self.total_steps is None:
            raise ValueError("schedule is cosine but total_steps is not set: set the step at which it ends")
        if self.schedule != "cosine" and self.total_steps is not None:
            raise ValueError(
                f"total_steps is set but schedule is {self.schedule}, which has no end: set schedule to "
                "cosine, or leave total_steps out. To stop after a number of steps, set steps"
            )
        return self

    def study_updates_at(self, step: int) -> int:
        """Most supervised updates of step `step` (from 0); 0 if it takes a policy gradient."""
        return self.study if step >= self.study_from else 0

    @property
    def needs_same_tokenizer(self) -> bool:
        """Whether the external loss can only use groups of peers with this tokenizer."""
        return self.external_loss in ("tis", "f_tis", "hacpo")

    @property
    def asks_the_same(self) -> bool:
        """Whether all nodes of an experiment are asked the same questions."""
        return self.external_baseline in ASKS_THE_SAME

    @property
    def takes_all_right(self) -> bool:
        """Whether groups that are right throughout are published, and trained on if external."""
        return self.external_baseline != "group"

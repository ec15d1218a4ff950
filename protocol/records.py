"""The payloads that peers sign: records in two versions, announcements, and peer statuses in three (SPEC
section 6).

What a publisher says about its own rollouts (rewards, logprobs, pass rates, models) is a hint: a receiver
regenerates the question and scores the completions itself. This module signs nothing.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from protocol import limits
from protocol.encoding import encode
from protocol.manifest import derive_task_id
from protocol.payload import (
    Address,
    Count,
    Digest,
    Fingerprint,
    Label,
    Micro,
    Milli,
    Model,
    Name,
    Payload,
    PeerIdText,
    TaskId,
    Timestamp,
    free_text,
    name_text,
)

RECORD_DOMAIN = "swarmd-record"
ANNOUNCEMENT_DOMAIN = "swarmd-announcement"
STATUS_DOMAIN = "swarmd-status"
RECORD_PAYLOAD_TYPE = b"/swarmd/record/1"
TURNS_RECORD_PAYLOAD_TYPE = b"/swarmd/record/2"
ANNOUNCEMENT_PAYLOAD_TYPE = b"/swarmd/announcement/1"
STATUS_PAYLOAD_TYPE = b"/swarmd/status/1"
FULL_STATUS_PAYLOAD_TYPE = b"/swarmd/status/2"
CREDIT_STATUS_PAYLOAD_TYPE = b"/swarmd/status/3"


class TaskSpec(Payload):
    """Enough to regenerate one question and its verifier on any machine."""

    source: Name
    dataset: Name
    config: Annotated[str, free_text(limits.CONFIG_BYTES_MAX)]
    """byte for byte as in the manifest's family"""
    version: Name
    seed: Annotated[int, Field(ge=0, le=limits.SEED_MAX)]
    index: Annotated[int, Field(ge=0, le=limits.INDEX_MAX)]

    @property
    def task_id(self) -> bytes:
        return derive_task_id(self.source, self.dataset, self.config, self.version)


class Turn(Payload):
    """Text that the publisher's policy wrote in one turn, decoded."""

    text: Annotated[str, free_text(limits.COMPLETION_TEXT_BYTES_MAX)]
    logprob_sum_micro: Annotated[int, Field(ge=-limits.INT_MAX, le=0)]
    """nats x 10^6, summed over the tokens, under the behaviour policy at its temperature"""
    tokens: Annotated[int, Field(ge=0, le=limits.COMPLETION_TOKENS_MAX)]
    """in the publisher's tokenizer, including the end token"""
    bytes: Annotated[int, Field(ge=0, le=limits.COMPLETION_TEXT_BYTES_MAX)]
    """of `text` in UTF-8; surprisal is compared per byte because tokens differ between peers"""
    finished: bool
    """true if the policy ended the text itself, false if it was cut off"""

    @field_validator("bytes")
    @classmethod
    def _is_the_length_of_text(cls, value: int, info: ValidationInfo) -> int:
        if "text" in info.data and value != len(info.data["text"].encode()):
            raise ValueError("not the UTF-8 length of `text`")
        return value


class Completion(Turn):
    """One answer by the publisher's policy, and what the publisher reports about it."""

    reward_micro: Micro
    """the publisher's score; the receiver computes its own"""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The answer itself, as a single turn."""
        return (self,)


class Episode(Payload):
    """One completion of a task with several turns: what the policy wrote, without the observations in
    between.

    The receiver regenerates the observations from the question and the turns.
    """

    turns: Annotated[tuple[Turn, ...], Field(min_length=1, max_length=limits.TURNS_MAX)]
    reward_micro: Micro
    """the publisher's score for all turns together; the receiver computes its own"""


class RecordHead(Payload):
    """The fields that records of both versions share."""

    swarm: Digest
    round: Count
    """the round of the swarm's clock that contains `created`"""
    step: Count
    """the publisher's own counter of policy updates"""
    created: Timestamp
    expires: Timestamp
    task: TaskSpec
    question_digest: Digest
    temperature_milli: Annotated[int, Field(ge=0, le=limits.TEMPERATURE_MILLI_MAX)]
    model: Model
    tokenizer: Fingerprint


class Record(RecordHead):
    """A group: one question and its completions by one policy. `question_digest` identifies the question."""

    completions: Annotated[
        tuple[Completion, ...], Field(min_length=limits.COMPLETIONS_MIN, max_length=limits.COMPLETIONS_MAX)
    ]


class TurnsRecord(RecordHead):
    """Version 2: a group of a task with turns or images. `prompt_digest` identifies the question."""

    ITEMS_MAX: ClassVar[int] = limits.TURNS_RECORD_ITEMS_MAX

    completions: Annotated[
        tuple[Episode, ...], Field(min_length=limits.COMPLETIONS_MIN, max_length=limits.COMPLETIONS_MAX)
    ]


def turns_at_most(envelope: bytes) -> int:
    """Return an upper bound of the turns in a record that has not been read. A version 1 completion is one.

    Each turn has the key `finished`. Text can contain its encoding too.
    """
    return envelope.count(_FINISHED)


_FINISHED = encode("finished")

AnyRecord = Record | TurnsRecord
AnyCompletion = Completion | Episode


class Announcement(Payload):
    """Where to get a record, and hints about whether it is worth pulling."""

    ITEMS_MAX: ClassVar[int] = limits.ANNOUNCEMENT_ITEMS_MAX

    swarm: Digest
    round: Count
    task_id: TaskId
    shard: Annotated[int, Field(ge=0, lt=limits.SHARDS_MAX)]
    digest: Digest
    """SHA-256 of the record's envelope"""
    size: Annotated[int, Field(ge=1, le=limits.RECORD_BYTES_MAX)]
    """bytes of the record's envelope"""
    pass_rate_milli: Milli
    """mean reward of the group, as scored by the publisher"""
    model: Annotated[str, name_text(limits.ANNOUNCED_MODEL_BYTES_MAX)]
    tokenizer: Fingerprint
    expires: Timestamp


class PeerStatus(Payload):
    """A peer's membership entry: how to reach it, and its progress."""

    ITEMS_MAX: ClassVar[int] = limits.STATUS_ITEMS_MAX

    swarm: Digest
    created: Timestamp
    expires: Timestamp
    addresses: Annotated[tuple[Address, ...], Field(max_length=limits.ADDRESSES_MAX)]
    """multiaddrs that end in this peer's own /p2p/ id; empty if the peer cannot be dialled"""
    round: Count
    step: Count
    phase: Annotated[str, name_text(limits.PHASE_BYTES_MAX)]
    model: Model
    device: Label
    reward_mean_milli: Milli
    groups_own: Count
    groups_published: Count
    groups_pulled: Count
    groups_external_used: Count
    agent: Label
    eval_milli: Milli | None
    """success on the held-out partition, or null if not measured"""


class Used(Payload):
    """How many of one publisher's groups a peer trained on."""

    publisher: PeerIdText
    groups: Annotated[int, Field(ge=1, le=limits.INT_MAX)]
    """since the peer began, like the other counts of a status"""


class FullStatus(PeerStatus):
    """Version 2: a peer status that also lists whom the peer learned from. Sent on request only."""

    ITEMS_MAX: ClassVar[int] = limits.FULL_STATUS_ITEMS_MAX

    used: Annotated[tuple[Used, ...], Field(max_length=limits.USED_MAX)]
    """the publishers whose groups it trained on most; a claim that nobody can check"""

    @field_validator("used")
    @classmethod
    def _has_no_duplicates(cls, value: tuple[Used, ...]) -> tuple[Used, ...]:
        if len({used.publisher for used in value}) < len(value):
            raise ValueError("names a publisher twice")
        return value


class Credit(Payload):
    """The effect that a peer measured for one publisher's groups (SPEC 6.15). For others it is a claim."""

    publisher: PeerIdText
    people: bool
    """whether these are the groups that claim to be written by a person"""
    groups: Annotated[int, Field(ge=1, le=limits.INT_MAX)]
    """groups measured since the peer began"""
    gain_milli: Annotated[int, Field(ge=-limits.INT_MAX, le=limits.INT_MAX)]
    """mean change per group in the log-probability of a held-out right answer, in nats x 1000"""


class CreditStatus(FullStatus):
    """Version 3: a full status with the measured effect of each publisher. Sent on request only."""

    ITEMS_MAX: ClassVar[int] = limits.CREDIT_STATUS_ITEMS_MAX

    credits: Annotated[tuple[Credit, ...], Field(max_length=limits.CREDITS_MAX)]

    @field_validator("credits")
    @classmethod
    def _has_no_duplicate_credits(cls, value: tuple[Credit, ...]) -> tuple[Credit, ...]:
        if len({(credit.publisher, credit.people) for credit in value}) < len(value):
            raise ValueError("credits the same groups twice")
        return value

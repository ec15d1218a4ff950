"""Statuses of version 3. What a full status may be is in `vector_payloads`; here is what credits add."""

from __future__ import annotations

from vector_subjects import (
    ALICE,
    BOB,
    CREDIT_STATUS,
    CREDIT_STATUS_KIND,
    FULL_STATUS,
    FULL_STATUS_KIND,
    MANIFEST,
    NOW,
    STATUS,
    Json,
    changed,
    readable,
    sealed,
)

import protocol as p
from protocol import limits


def credit_statuses_file() -> Json:
    """Of one swarm, each with the receiver's `now` and the peer that was asked."""

    def case(name: str, envelope: bytes, now: int = NOW, publisher: str = ALICE.peer_id) -> Json:
        return {"name": name, "now": now, "expected_publisher": publisher, "envelope": envelope.hex()}

    def valid(name: str, *credits_: p.Credit) -> Json:
        status = CREDIT_STATUS.model_copy(update={"credits": credits_})
        return case(name, p.sign_credit_status(ALICE, status)) | {"fields": readable(status.model_dump())}

    def bad(name: str, reason: str, now: int = NOW, **fields: object) -> Json:
        envelope = sealed(CREDIT_STATUS_KIND, changed(CREDIT_STATUS, **fields))
        return case(name, envelope, now) | {"reason": reason}

    def credit(**fields: object) -> Json:
        return {"publisher": BOB.peer_id, "people": False, "groups": 1, "gain_milli": 0} | fields

    others = [p.KeyPair.from_seed(bytes([n]) * 32).peer_id for n in range(limits.CREDITS_MAX + 1)]
    most = limits.INT_MAX
    return {
        "swarm": MANIFEST.swarm_id.hex(),
        "valid": [
            valid("taught by people", *CREDIT_STATUS.credits),
            valid("nothing measured"),
            valid(
                "a policy and people of one peer",
                p.Credit(publisher=BOB.peer_id, people=False, groups=9, gain_milli=-7),
                p.Credit(publisher=BOB.peer_id, people=True, groups=1, gain_milli=300),
            ),
            valid(
                "32 credits",
                *(
                    p.Credit(publisher=peer, people=False, groups=most, gain_milli=-most)
                    for peer in others[: limits.CREDITS_MAX]
                ),
            ),
        ],
        "invalid": [
            bad("33 credits", "schema", credits=tuple(credit(publisher=peer) for peer in others)),
            bad("the same groups twice", "schema", credits=(credit(), credit(gain_milli=5))),
            bad("no groups", "schema", credits=(credit(groups=0),)),
            bad("a number for people", "schema", credits=(credit(people=1),)),
            bad("a truth value for a gain", "schema", credits=(credit(gain_milli=True),)),
            bad("a publisher that is no peer id", "schema", credits=(credit(publisher="Bob"),)),
            bad("a credit with another field", "schema", credits=(credit(reward=1),)),
            bad("without credits", "schema", credits=...),
            bad("a thousand data items too many", "encoding", credits=(0,) * 1_024),
            bad("above 12288 bytes", "size", agent="a" * 12_288),
            bad("expires now", "expired", now=STATUS.expires),
            case("another peer's", p.sign_credit_status(ALICE, CREDIT_STATUS), publisher=BOB.peer_id)
            | {"reason": "publisher"},
            case("credits in version 2", sealed(FULL_STATUS_KIND, changed(CREDIT_STATUS)))
            | {"reason": "schema"},
            case("version 2 under version 3", sealed(CREDIT_STATUS_KIND, changed(FULL_STATUS)))
            | {"reason": "schema"},
        ],
    }

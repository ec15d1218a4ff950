"""Vectors of records of turns, and of the digests of prompts and images."""

from __future__ import annotations

from vector_subjects import ALICE, MANIFEST, NOW, RECORD, Json, changed, readable, sealed

import protocol as p
from protocol import limits

TURNS_RECORD_KIND = (p.RECORD_DOMAIN, p.TURNS_RECORD_PAYLOAD_TYPE)
PROMPT = "I think of a number from 1 to 9. Guess it."
IMAGES = (bytes(range(32)), bytes(range(32, 64)))


def turn(text: str, finished: bool = True) -> p.Turn:
    size = len(text.encode())
    return p.Turn(text=text, logprob_sum_micro=-500_000, tokens=5, bytes=size, finished=finished)


FIRST = p.Episode(turns=(turn("<answer>5</answer>"), turn("<answer>7</answer>")), reward_micro=1_000_000)
SECOND = p.Episode(turns=(turn("5, I think", finished=False),), reward_micro=0)
TURNS_RECORD = p.TurnsRecord(
    **{
        **{name: getattr(RECORD, name) for name in p.TurnsRecord.model_fields},
        "question_digest": p.prompt_digest(PROMPT, hidden="7"),
        "completions": (FIRST, SECOND),
    }
)


def turns_records_file() -> Json:
    def valid(name: str, record: p.TurnsRecord) -> Json:
        envelope = p.sign_record(ALICE, record)
        return {
            "name": name,
            "now": NOW,
            "envelope": envelope.hex(),
            "publisher": ALICE.peer_id,
            "digest": p.digest_of(envelope).hex(),
            "payload": record.to_bytes().hex(),
            "fields": readable(record.model_dump()),
        }

    short = p.Episode(turns=(turn(""),) * limits.TURNS_MAX, reward_micro=0)
    return {
        "manifest": MANIFEST.to_bytes().hex(),
        "prompts": [
            {
                "text": text,
                "images": [image.hex() for image in images],
                "hidden": hidden,
                "digest": p.prompt_digest(text, images, hidden).hex(),
            }
            for text, images, hidden in (
                (PROMPT, (), "7"),
                (PROMPT, (), "8"),
                ("", (), ""),
                ("How many squares?", IMAGES, ""),
            )
        ],
        "images": [
            {
                "width": width,
                "height": height,
                "channels": channels,
                "pixels": pixels.hex(),
                "digest": p.image_digest(width, height, channels, pixels).hex(),
            }
            for width, height, channels, pixels in (
                (2, 1, 3, bytes((255, 0, 0, 0, 0, 255))),
                (1, 2, 3, bytes((255, 0, 0, 0, 0, 255))),
                (3, 2, 1, bytes(range(6))),
            )
        ],
        "valid": [
            valid("two turns and one", TURNS_RECORD),
            valid("as many turns as there may be", changed_to(completions=(short,) * limits.COMPLETIONS_MAX)),
        ],
        "invalid": _invalid(),
    }


def changed_to(**fields: object) -> p.TurnsRecord:
    return TURNS_RECORD.model_copy(update=fields)


def _invalid() -> list[Json]:
    first, second = (changed(episode) for episode in TURNS_RECORD.completions)
    written = first["turns"][0]

    def bad(name: str, reason: str = "schema", **fields: object) -> Json:
        envelope = sealed(TURNS_RECORD_KIND, changed(TURNS_RECORD, **fields))
        return {"name": name, "now": NOW, "envelope": envelope.hex(), "reason": reason}

    def bad_turn(name: str, reason: str = "schema", **fields: object) -> Json:
        return bad(name, reason, completions=(first | {"turns": (written | fields,)}, second))

    other_version = (p.RECORD_DOMAIN, b"/swarmd/record/3")
    return [
        bad("an episode without turns", completions=(first | {"turns": ()}, second)),
        bad("seventeen turns", completions=(first | {"turns": (written,) * 17}, second)),
        bad("one episode", completions=(first,)),
        bad("an observation beside the turns", completions=(first | {"observations": ("higher",)}, second)),
        bad("a completion of version 1", completions=(changed(RECORD.completions[0]), second)),
        bad_turn("false byte length", bytes=4),
        bad_turn("a turn with a reward", reward_micro=0),
        bad_turn("a turn of more tokens than allowed", "task", tokens=MANIFEST.max_new_tokens + 1),
        {
            "name": "version 1 with the fields of version 2",
            "now": NOW,
            "envelope": sealed((p.RECORD_DOMAIN, p.RECORD_PAYLOAD_TYPE), changed(TURNS_RECORD)).hex(),
            "reason": "schema",
        },
        {
            "name": "a version that does not exist",
            "now": NOW,
            "envelope": sealed(other_version, changed(TURNS_RECORD)).hex(),
            "reason": "payload_type",
        },
    ]

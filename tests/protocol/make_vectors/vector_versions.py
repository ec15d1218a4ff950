"""Vectors of the answer that no version changes: which versions a peer speaks, and whether two meet."""

from __future__ import annotations

from vector_subjects import Json, changed

import protocol as p
from protocol import limits

VERSIONS = p.Versions(oldest=2, newest=3, agent="swarmd/0.2.0")


def versions_file() -> Json:
    def valid(name: str, common: list[list[int]], none: list[list[int]], **fields: object) -> Json:
        versions = VERSIONS.model_copy(update=fields)
        told = {"fields": versions.model_dump(), "meets": common, "misses": none}
        return {"name": name, "reply": versions.to_bytes().hex()} | told

    def bad(name: str, reason: str, **fields: object) -> Json:
        return {"name": name, "reply": p.encode(changed(VERSIONS, **fields)).hex(), "reason": reason}

    return {
        "valid": [
            valid("versions 2 and 3", [[1, 2], [2, 3], [3, 9], [1, 9]], [[1, 1], [4, 4], [4, 9]]),
            valid("one version", [[1, 1], [1, 3]], [[2, 2], [2, 9]], oldest=1, newest=1),
            valid("all versions", [[1, 1], [7, 7]], [], oldest=1, newest=limits.INT_MAX),
            valid("an agent of 64 bytes", [[2, 2]], [[1, 1]], agent="a" * 64),
        ],
        "invalid": [
            bad("version 0", "schema", oldest=0),
            bad("a negative version", "schema", newest=-1),
            bad("a truth value for a version", "schema", oldest=True),
            bad("a version as text", "schema", newest="3"),
            bad("without a newest version", "schema", newest=...),
            bad("another field", "schema", best=3),
            bad("no agent", "schema", agent=""),
            bad("an agent of 65 bytes", "schema", agent="a" * 65),
            bad("an agent with a control character", "schema", agent="a\x1b[2J"),
            bad("data items without end", "encoding", agent=(0,) * limits.VERSIONS_ITEMS_MAX),
            {"name": "nothing", "reply": "", "reason": "encoding"},
            {"name": "bytes behind it", "reply": VERSIONS.to_bytes().hex() + "00", "reason": "encoding"},
        ],
    }

"""Vectors of charters: what an author may sign about a swarm, and what no reader may believe."""

from __future__ import annotations

from vector_subjects import ALICE, BOB, MANIFEST, NOW, Json, changed, readable, sealed

import protocol as p
from protocol import limits

CHARTER = p.Charter(
    name=MANIFEST.name,
    version=2,
    swarm=MANIFEST.swarm_id,
    created=NOW,
    bootstrap=(f"/dns4/peer.example.org/tcp/41000/p2p/{BOB.peer_id}", "/dnsaddr/swarm.example.org"),
    urls=("https://example.org/swarm.toml",),
)
KIND = (p.CHARTER_DOMAIN, p.CHARTER_PAYLOAD_TYPE)


def charters_file() -> Json:
    def case(name: str, envelope: bytes, author: str | None = ALICE.peer_id) -> Json:
        return {"name": name, "expected_author": author, "envelope": envelope.hex()}

    def valid(label: str, /, author: str | None = ALICE.peer_id, **fields: object) -> Json:
        charter = CHARTER.model_copy(update=fields)
        told = {"author": ALICE.peer_id, "fields": readable(charter.model_dump())}
        return case(label, p.sign_charter(ALICE, charter), author) | told

    def bad(label: str, reason: str, /, **fields: object) -> Json:
        return case(label, sealed(KIND, changed(CHARTER, **fields))) | {"reason": reason}

    long_address = "/dns4/" + "a" * (limits.ADDRESS_BYTES_MAX - 6)
    long_url = "https://" + "a" * (limits.URL_BYTES_MAX - 8)
    return {
        "valid": [
            valid("version 2, with addresses"),
            valid("no author is expected", author=None),
            valid("no address and no URL", bootstrap=(), urls=()),
            valid("as many and as long as allowed", bootstrap=(long_address,) * 8, urls=(long_url,) * 4),
        ],
        "invalid": [
            case("another author's", p.sign_charter(BOB, CHARTER)) | {"reason": "publisher"},
            case("in a status's domain", sealed((p.STATUS_DOMAIN, p.CHARTER_PAYLOAD_TYPE), changed(CHARTER)))
            | {"reason": "signature"},
            case("of another type", sealed((p.CHARTER_DOMAIN, b"/swarmd/charter/2"), changed(CHARTER)))
            | {"reason": "payload_type"},
            bad("version 0", "schema", version=0),
            bad("a truth value for the version", "schema", version=True),
            bad("without a version", "schema", version=...),
            bad("a swarm id of 31 bytes", "schema", swarm=MANIFEST.swarm_id[:31]),
            bad("nine addresses", "schema", bootstrap=CHARTER.bootstrap[:1] * 9),
            bad("an address that is no multiaddr", "schema", bootstrap=("example.org:41000",)),
            bad("five URLs", "schema", urls=CHARTER.urls * 5),
            bad("a URL without TLS", "schema", urls=("http://example.org/swarm.toml",)),
            bad("a URL with a space", "schema", urls=("https://example.org/a b",)),
            bad("a URL of another alphabet", "schema", urls=("https://exämple.org/",)),
            bad("a URL too long", "schema", urls=(long_url + "a",)),
            bad("a name with a control character", "schema", name="a\nb"),
            bad("a thousand data items too many", "encoding", urls=(0,) * 1_024),
            bad("above 4096 bytes", "size", name="a" * 4_096),
        ],
    }

"""Everything in `protocol` that reads what others wrote: how its inputs are made, and what it may do.

An input is accepted, or refused by the one exception that its target names. What is accepted must be what a
second look finds as well: one value has one encoding.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import protocol as p
from protocol.limits import RECORD_ITEMS_MAX
from protocol.payload import Payload
from tests.protocol.fuzz.mutation import altered, cbor, junk, mutated, text, tree

VECTORS = Path(p.__file__).parent / "vectors"


@dataclass(frozen=True)
class Target:
    """`make` gives one input; `read` takes it and returns, or raises `refusal` and nothing else."""

    make: Callable[[random.Random], Any]
    read: Callable[[Any], None]
    refusal: type[p.ProtocolError]


def _vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def _bytes_of(cases: list[dict[str, Any]], field: str) -> list[bytes]:
    return [bytes.fromhex(case[field]) for case in cases if field in case and len(case[field]) < 20_000]


def _both(file: Any, field: str) -> list[bytes]:
    return _bytes_of(file["valid"], field) + _bytes_of(file["invalid"], field)


KEY = p.KeyPair.from_seed(bytes(range(32)))
STORAGE = _vectors("storage")
MANIFEST = p.Manifest.from_bytes(bytes.fromhex(STORAGE["manifest"]))
NOW = STORAGE["valid"][0]["now"]
KINDS: dict[str, tuple[str, bytes, type[Payload]]] = {
    "records": (p.RECORD_DOMAIN, p.RECORD_PAYLOAD_TYPE, p.Record),
    "turns_records": (p.RECORD_DOMAIN, p.TURNS_RECORD_PAYLOAD_TYPE, p.TurnsRecord),
    "announcements": (p.ANNOUNCEMENT_DOMAIN, p.ANNOUNCEMENT_PAYLOAD_TYPE, p.Announcement),
    "statuses": (p.STATUS_DOMAIN, p.STATUS_PAYLOAD_TYPE, p.PeerStatus),
    "full_statuses": (p.STATUS_DOMAIN, p.FULL_STATUS_PAYLOAD_TYPE, p.FullStatus),
    "credit_statuses": (p.STATUS_DOMAIN, p.CREDIT_STATUS_PAYLOAD_TYPE, p.CreditStatus),
}
ENVELOPES = {name: _both(_vectors(name), "envelope") for name in KINDS}


def _fields(name: str) -> list[object]:
    """The payloads of the valid vectors, as maps."""
    domain, kind, _ = KINDS[name]
    valid = _bytes_of(_vectors(name)["valid"], "envelope")
    return [p.decode(p.open_envelope(data, domain, kind, p.RECORD_BYTES_MAX).payload) for data in valid]


FIELDS = {name: _fields(name) for name in KINDS}


def _cbor_of(rng: random.Random, values: list[object]) -> bytes:
    value = rng.choice(values)
    for _ in range(rng.randrange(3)):
        value = altered(rng, value)
    return cbor(rng, value, rng.choice((0.0, 0.0, 0.02)))


def _payload(rng: random.Random, values: list[object], seeds: list[bytes]) -> bytes:
    """Bytes for a payload: nonsense, a valid one with bytes changed, or one wrong in a field."""
    match rng.randrange(8):
        case 0:
            return junk(rng)
        case 1:
            return cbor(rng, tree(rng))
        case 2 | 3:
            return mutated(rng, seeds)
        case _:
            return _cbor_of(rng, values)


def _envelope(name: str, rng: random.Random) -> bytes:
    """An envelope of some kind: its bytes changed, or a changed payload signed again."""
    if rng.random() < 0.5:
        return mutated(rng, ENVELOPES[name]) if rng.random() < 0.9 else junk(rng)
    domain, kind, _ = KINDS[name]
    return p.seal(KEY, domain, kind, _cbor_of(rng, FIELDS[name]))


def _read_cbor(data: bytes) -> None:
    assert p.encode(p.decode(data, items_max=RECORD_ITEMS_MAX)) == data


def _read_payload(kind: type[Payload], data: bytes) -> None:
    assert kind.from_bytes(data).to_bytes() == data


def _sealed(rng: random.Random) -> bytes:
    """An envelope of a record around any bytes, changed or not, or that of another kind."""
    domain, kind, _ = KINDS["records"]
    sealed = p.seal(KEY, domain, kind, junk(rng) or b"0")
    others = ENVELOPES[rng.choice(list(KINDS))]
    return rng.choice((sealed, mutated(rng, [sealed]), mutated(rng, others), rng.choice(others), junk(rng)))


def _read_envelope(data: bytes) -> None:
    domain, kind, _ = KINDS["records"]
    opened = p.open_envelope(data, domain, kind, p.STATUS_BYTES_MAX)
    if opened.peer_id == KEY.peer_id:
        assert p.seal(KEY, domain, kind, opened.payload) == data


def _read_peer_id(peer_id: str) -> None:
    assert p.peer_id_from_public_key(p.public_key_from_peer_id(peer_id)) == peer_id


def _read_identity(data: bytes) -> None:
    assert p.KeyPair.from_libp2p(data).to_libp2p() == data


def _read_config(config: str) -> None:
    family = p.TaskFamily(name="n", source="s", dataset="d", config=config, version="1", weight=1)
    assert p.canonical_json(json.loads(family.config)) == config


def _write_json(value: object) -> None:
    assert p.canonical_json(json.loads(p.canonical_json(value))) == p.canonical_json(value)


def _stored(rng: random.Random) -> tuple[bytes, bytes | None, bytes, float, float]:
    """What a storing node may be asked for: a vector with one or two of its parts changed."""
    case = rng.choice(STORAGE["valid"] + STORAGE["invalid"])
    parts = {name: bytes.fromhex(case[name] or "") for name in ("stored_at", "subkey", "value")}
    expiry, now = float(case["expiry"]), float(case["now"])
    subkey = None if case["subkey"] is None else parts["subkey"]
    for _ in range(rng.randrange(3)):
        other = rng.choice(STORAGE["valid"])
        match rng.randrange(6):
            case 0:
                parts["stored_at"] = bytes.fromhex(other["stored_at"])
            case 1:
                subkey = rng.choice(
                    (None, mutated(rng, [parts["subkey"]]), rng.randbytes(rng.choice((52, 60))))
                )
            case 2:
                parts["value"] = _envelope(rng.choice(list(KINDS)), rng)
            case 3:
                parts["value"] = mutated(rng, [parts["value"]])
            case 4:
                expiry = rng.choice(
                    (float("nan"), float("inf"), -1.0, 1e300, expiry + rng.choice((-0.5, 1, 900)))
                )
            case _:
                now += rng.choice((-100_000, -31, -1, 0.5, 600, 100_000))
    return parts["stored_at"], subkey, parts["value"], expiry, now


def _read_stored(asked: tuple[bytes, bytes | None, bytes, float, float]) -> None:
    stored_at, subkey, value, expiry, now = asked
    p.check_stored(stored_at, subkey, value, expiry, manifest=MANIFEST, now=now)


def _peer_id(rng: random.Random) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIlıé\U0001d7d9"
    if rng.random() < 0.2:
        return "".join(rng.choices(alphabet, k=rng.choice((52, rng.randrange(60)))))
    characters = list(KEY.peer_id)
    for _ in range(rng.randrange(4)):
        characters[rng.randrange(len(characters))] = rng.choice(alphabet)
    return "".join(characters)


def _identity(rng: random.Random) -> bytes:
    sound = p.KeyPair.from_seed(rng.randbytes(32)).to_libp2p()
    return rng.choice((junk(rng), mutated(rng, [sound]), mutated(rng, [sound]), sound))


CONFIGS = [text.encode() for text in _vectors("configs")["valid"]]


def _config(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return json.dumps(_json_value(rng), ensure_ascii=rng.random() < 0.5)
    return mutated(rng, CONFIGS).decode(errors=rng.choice(("replace", "ignore", "surrogateescape")))


def _json_value(rng: random.Random, depth: int = 10) -> object:
    numbers = (0, -1, 2**53, 10**400, 0.1, -0.0, 1e16, 1e-5, 5e-324, float("nan"), float("inf"), rng.random())
    match rng.randrange(8 if depth else 4):
        case 0 | 1:
            return rng.choice(numbers)
        case 2:
            return text(rng)
        case 3:
            return rng.choice((True, False, None, "\ud800", "\udc00"))
        case 4 | 5:
            return [_json_value(rng, depth - 1) for _ in range(rng.randrange(3))]
        case _:
            keys = (text(rng, 6), text(rng, 6), rng.choice(("\ud83d", "a", "\uffff")))
            return {key: _json_value(rng, depth - 1) for key in keys[: rng.randrange(4)]}


def _any_value(rng: random.Random) -> object:
    return rng.choice((_json_value(rng), tree(rng), {1: 2, "a": 3}, {(): 1}, [object()], [{1, 2}], 10**5_000))


def _payload_target(kind: type[Payload], values: list[object], seeds: list[bytes]) -> Target:
    return Target(
        partial(_payload, values=values, seeds=seeds), partial(_read_payload, kind), p.RejectedRecord
    )


def _verify(name: str, data: bytes) -> None:
    if name in ("records", "turns_records"):
        p.verify_record(data, manifest=MANIFEST, now=NOW)
    elif name == "announcements":
        p.verify_announcement(data, manifest=MANIFEST, now=NOW)
    elif name in ("full_statuses", "credit_statuses"):
        p.verify_full_status(data, swarm=MANIFEST.swarm_id, now=NOW, publisher=KEY.peer_id)
    else:
        p.verify_status(data, swarm=MANIFEST.swarm_id, now=NOW)


SIZE = 600


def _compressed(rng: random.Random) -> bytes:
    """A body as it travels, changed or not, of at most SIZE bytes or of many more."""
    body = rng.choice((rng.randbytes(rng.randrange(SIZE)), bytes(rng.randrange(100_000))))
    sound = p.compress_body(body)
    return rng.choice((sound, mutated(rng, [sound]), mutated(rng, [sound]), sound + junk(rng), junk(rng)))


def _read_compressed(data: bytes) -> None:
    body = p.decompress_body(data, SIZE)
    assert len(body) <= SIZE
    assert p.decompress_body(p.compress_body(body), len(body)) == body


def _targets() -> dict[str, Target]:
    manifests = _both(_vectors("manifests"), "manifest")
    trees = [*FIELDS["records"], *FIELDS["statuses"], MANIFEST.model_dump()]
    encodings = _both(_vectors("encoding"), "cbor")
    targets = {
        "cbor": Target(partial(_payload, values=trees, seeds=encodings), _read_cbor, p.RejectedRecord),
        "envelope": Target(_sealed, _read_envelope, p.RejectedRecord),
        "manifest": _payload_target(p.Manifest, [MANIFEST.model_dump()], manifests),
    }
    for name, (_, _, kind) in KINDS.items():
        payloads = [p.encode(fields) for fields in FIELDS[name]]
        targets[f"{name}_payload"] = _payload_target(kind, FIELDS[name], payloads)
        targets[name] = Target(partial(_envelope, name), partial(_verify, name), p.RejectedRecord)
    return targets | {
        "compression": Target(_compressed, _read_compressed, p.RejectedRecord),
        "storage": Target(_stored, _read_stored, p.RejectedRecord),
        "peer_id": Target(_peer_id, _read_peer_id, p.RejectedRecord),
        "identity_file": Target(_identity, _read_identity, p.InvalidLocal),
        "config": Target(_config, _read_config, p.InvalidLocal),
        "canonical_json": Target(_any_value, _write_json, p.InvalidLocal),
    }


TARGETS = _targets()

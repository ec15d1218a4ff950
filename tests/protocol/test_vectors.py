"""The golden vectors: committed as the script writes them, and this implementation agrees with every one.

A second implementation reads the same files; SPEC section 12 says how.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

import protocol as p
from protocol import limits

VECTORS = Path(p.__file__).parent / "vectors"
(
    KEYS,
    ENCODING,
    ENVELOPES,
    NAMES,
    CONFIGS,
    MANIFESTS,
    RECORDS,
    TURNS_RECORDS,
    ANNOUNCEMENTS,
    STATUSES,
    CREDIT_STATUSES,
    FULL_STATUSES,
    CHARTERS,
    VERSIONS,
    COMPRESSION,
    STORAGE,
    TOPICS,
    HELD_OUT,
) = (
    json.loads((VECTORS / f"{name}.json").read_text())
    for name in (
        "keys",
        "encoding",
        "envelopes",
        "names",
        "configs",
        "manifests",
        "records",
        "turns_records",
        "announcements",
        "statuses",
        "credit_statuses",
        "full_statuses",
        "charters",
        "versions",
        "compression",
        "storage",
        "topics",
        "held_out",
    )
)


def manifest_of(file: dict) -> p.Manifest:
    return p.Manifest.from_bytes(bytes.fromhex(file["manifest"]))


def named(cases: list[dict]) -> list:
    return [pytest.param(case, id=case.get("name")) for case in cases]


def received(case: dict, field: str) -> bytes:
    return bytes(case["zero_bytes"]) if "zero_bytes" in case else bytes.fromhex(case[field])


def reason_of(check: Callable[[], object]) -> str:
    with pytest.raises(p.RejectedRecord) as caught:
        check()
    return caught.value.reason


def readable(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items()}
    return [readable(item) for item in value] if isinstance(value, tuple) else value


def test_committed_files_are_what_the_script_writes():
    files = runpy.run_path(str(Path(__file__).with_name("make_vectors")))["vector_files"]()

    assert {path.name: path.read_text() for path in VECTORS.iterdir()} == files


@pytest.mark.parametrize("case", KEYS["valid"])
def test_keys(case):
    key = p.KeyPair.from_seed(bytes.fromhex(case["seed"]))

    assert key.public_key.hex() == case["public_key"]
    assert key.peer_id == p.peer_id_from_public_key(key.public_key) == case["peer_id"]
    assert p.public_key_from_peer_id(key.peer_id) == key.public_key
    assert key.to_libp2p().hex() == case["libp2p_private_key"]
    assert key.sign(bytes.fromhex(case["message"])).hex() == case["signature"]


@pytest.mark.parametrize("case", named(KEYS["invalid_public_keys"]))
def test_unusable_public_keys(case):
    assert reason_of(lambda: p.peer_id_from_public_key(bytes.fromhex(case["public_key"]))) == p.Reason.KEY


@pytest.mark.parametrize("case", named(KEYS["invalid_peer_ids"]))
def test_unusable_peer_ids(case):
    assert reason_of(lambda: p.public_key_from_peer_id(case["peer_id"])) == p.Reason.KEY


@pytest.mark.parametrize("case", named(KEYS["invalid_identity_files"]))
def test_unusable_identity_files(case):
    with pytest.raises(p.InvalidLocal):  # a peer's own file: nobody else is told the reason
        p.KeyPair.from_libp2p(bytes.fromhex(case["libp2p_private_key"]))


@pytest.mark.parametrize("case", ENCODING["valid"], ids=lambda case: case["cbor"][:24])
def test_encoding(case):
    data = bytes.fromhex(case["cbor"])

    assert readable(p.decode(data)) == case["value"]
    assert p.encode(p.decode(data)) == data


@pytest.mark.parametrize("case", named(ENCODING["invalid"]))
def test_refused_encoding(case):
    assert reason_of(lambda: p.decode(bytes.fromhex(case["cbor"]))) == case["reason"]


@pytest.mark.parametrize("case", named(ENVELOPES["valid"]))
def test_envelopes(case):
    domain, kind, data = (
        ENVELOPES["domain"],
        ENVELOPES["payload_type"].encode(),
        bytes.fromhex(case["envelope"]),
    )
    key, payload = p.KeyPair.from_seed(bytes.fromhex(case["seed"])), bytes.fromhex(case["payload"])

    assert p.seal(key, domain, kind, payload) == data
    assert p.open_envelope(data, domain, kind, ENVELOPES["size_max"]) == p.Opened(
        case["peer_id"], payload, kind
    )
    assert key.sign(bytes.fromhex(case["signed_bytes"])) == data[-64:]


@pytest.mark.parametrize("case", named(ENVELOPES["invalid"]))
def test_refused_envelopes(case):
    domain, kind = ENVELOPES["domain"], ENVELOPES["payload_type"].encode()
    data = bytes.fromhex(case["envelope"])

    assert reason_of(lambda: p.open_envelope(data, domain, kind, ENVELOPES["size_max"])) == case["reason"]


@pytest.mark.parametrize("case", named(MANIFESTS["valid"]))
def test_manifests(case):
    manifest = p.Manifest.from_bytes(bytes.fromhex(case["manifest"]))

    assert readable(manifest.model_dump()) == case["fields"]
    assert manifest.swarm_id.hex() == case["swarm_id"]
    assert [task.task_id.hex() for task in manifest.tasks] == case["task_ids"]
    assert [manifest.round_at(r["now"]) for r in case["rounds"]] == [r["round"] for r in case["rounds"]]


@pytest.mark.parametrize("case", named(MANIFESTS["invalid"]))
def test_refused_manifests(case):
    def check() -> None:
        """The caller compares the swarm id, as `swarmd.daemon.joining` does."""
        manifest = p.Manifest.from_bytes(received(case, "manifest"))
        if manifest.swarm_id.hex() != case.get("expected_swarm_id"):
            raise p.RejectedRecord(p.Reason.SWARM, "another swarm's")

    assert reason_of(check) == case["reason"]


def manifest_with_config(config: str) -> p.Manifest:
    fields = manifest_of(RECORDS).model_dump()
    return p.Manifest.from_bytes(p.encode(fields | {"tasks": (fields["tasks"][0] | {"config": config},)}))


def test_configs():
    for config in CONFIGS["valid"]:
        assert manifest_with_config(config).tasks[0].config == config
        assert p.canonical_json(json.loads(config)) == config


@pytest.mark.parametrize("case", named(CONFIGS["invalid"]))
def test_refused_configs(case):
    assert reason_of(lambda: manifest_with_config(case["config"])) == case["reason"]


def manifest_named(name: str) -> p.Manifest:
    return p.Manifest.from_bytes(p.encode(manifest_of(RECORDS).model_dump() | {"name": name}))


def test_names():
    assert [manifest_named(name).name for name in NAMES["valid"]] == NAMES["valid"]


def test_refused_names():
    for case in NAMES["invalid"]:
        assert reason_of(lambda text=case["text"]: manifest_named(text)) == case["reason"], case["name"]


BOTH_VALID, BOTH_INVALID = (
    [
        pytest.param(file, case, id=f"{version}-{case['name']}")
        for version, file in enumerate((RECORDS, TURNS_RECORDS), start=1)
        for case in file[kind]
    ]
    for kind in ("valid", "invalid")
)


@pytest.mark.parametrize(("file", "case"), BOTH_VALID)
def test_records(file, case):
    data = bytes.fromhex(case["envelope"])
    verified = p.verify_record(
        data,
        manifest=manifest_of(file),
        now=case["now"],
        digest=bytes.fromhex(case["digest"]),
        publisher=case["publisher"],
    )

    assert readable(verified.record.model_dump()) == case["fields"]
    assert verified.record.to_bytes().hex() == case["payload"]
    assert (verified.publisher, verified.envelope) == (case["publisher"], data)


@pytest.mark.parametrize(("file", "case"), BOTH_INVALID)
def test_refused_records(file, case):
    digest = case.get("expected_digest")

    assert case["reason"] == reason_of(
        lambda: p.verify_record(
            received(case, "envelope"),
            manifest=manifest_of(file),
            now=case["now"],
            digest=None if digest is None else bytes.fromhex(digest),
            publisher=case.get("expected_publisher"),
        )
    )


@pytest.mark.parametrize("case", TURNS_RECORDS["prompts"])
def test_digests_of_prompts(case):
    images = list(map(bytes.fromhex, case["images"]))

    assert p.prompt_digest(case["text"], images, case["hidden"]).hex() == case["digest"]


@pytest.mark.parametrize("case", TURNS_RECORDS["images"])
def test_digests_of_images(case):
    size = case["width"], case["height"], case["channels"]

    assert p.image_digest(*size, bytes.fromhex(case["pixels"])).hex() == case["digest"]


@pytest.mark.parametrize("case", named(ANNOUNCEMENTS["valid"]))
def test_announcements(case):
    verified = p.verify_announcement(
        bytes.fromhex(case["envelope"]), manifest=manifest_of(ANNOUNCEMENTS), now=case["now"]
    )

    assert readable(verified.announcement.model_dump()) == case["fields"]
    assert verified.publisher == case["publisher"]


@pytest.mark.parametrize("case", named(ANNOUNCEMENTS["invalid"]))
def test_refused_announcements(case):
    manifest, data = manifest_of(ANNOUNCEMENTS), bytes.fromhex(case["envelope"])

    assert case["reason"] == reason_of(
        lambda: p.verify_announcement(data, manifest=manifest, now=case["now"])
    )


@pytest.mark.parametrize("case", named(STATUSES["valid"]))
def test_statuses(case):
    swarm = bytes.fromhex(STATUSES["swarm"])
    verified = p.verify_status(bytes.fromhex(case["envelope"]), swarm=swarm, now=case["now"])

    assert readable(verified.status.model_dump()) == case["fields"]
    assert verified.publisher == case["publisher"]


@pytest.mark.parametrize("case", named(STATUSES["invalid"]))
def test_refused_statuses(case):
    swarm, data = bytes.fromhex(STATUSES["swarm"]), bytes.fromhex(case["envelope"])

    assert reason_of(lambda: p.verify_status(data, swarm=swarm, now=case["now"])) == case["reason"]


def verified_full(case: dict) -> p.VerifiedFullStatus:
    return p.verify_full_status(
        bytes.fromhex(case["envelope"]),
        swarm=bytes.fromhex(FULL_STATUSES["swarm"]),
        now=case["now"],
        publisher=p.PeerId(case["expected_publisher"]),
    )


@pytest.mark.parametrize("case", named(FULL_STATUSES["valid"]))
def test_full_statuses(case):
    verified = verified_full(case)

    assert readable(verified.status.model_dump()) == case["fields"]
    assert verified.publisher == case["expected_publisher"]


@pytest.mark.parametrize("case", named(FULL_STATUSES["invalid"]))
def test_refused_full_statuses(case):
    assert reason_of(lambda: verified_full(case)) == case["reason"]


def verified_credits(case: dict) -> p.VerifiedFullStatus:
    return p.verify_full_status(
        bytes.fromhex(case["envelope"]),
        swarm=bytes.fromhex(CREDIT_STATUSES["swarm"]),
        now=case["now"],
        publisher=p.PeerId(case["expected_publisher"]),
    )


@pytest.mark.parametrize("case", named(CREDIT_STATUSES["valid"]))
def test_credit_statuses(case):
    verified = verified_credits(case)

    assert isinstance(verified.status, p.CreditStatus)
    assert readable(verified.status.model_dump()) == case["fields"]


@pytest.mark.parametrize("case", named(CREDIT_STATUSES["invalid"]))
def test_refused_credit_statuses(case):
    assert reason_of(lambda: verified_credits(case)) == case["reason"]


def verified_charter(case: dict) -> p.VerifiedCharter:
    return p.verify_charter(bytes.fromhex(case["envelope"]), author=case["expected_author"])


@pytest.mark.parametrize("case", named(CHARTERS["valid"]))
def test_charters(case):
    verified = verified_charter(case)

    assert readable(verified.charter.model_dump()) == case["fields"]
    assert verified.author == case["author"]


@pytest.mark.parametrize("case", named(CHARTERS["invalid"]))
def test_refused_charters(case):
    assert reason_of(lambda: verified_charter(case)) == case["reason"]


@pytest.mark.parametrize("case", named(VERSIONS["valid"]))
def test_versions(case):
    versions = p.Versions.from_bytes(bytes.fromhex(case["reply"]))

    assert len(bytes.fromhex(case["reply"])) <= limits.VERSIONS_BYTES_MAX
    assert versions.model_dump() == case["fields"]
    assert all(versions.meets(*mine) for mine in case["meets"])
    assert not any(versions.meets(*mine) for mine in case["misses"])


@pytest.mark.parametrize("case", named(VERSIONS["invalid"]))
def test_refused_versions(case):
    assert reason_of(lambda: p.Versions.from_bytes(bytes.fromhex(case["reply"]))) == case["reason"]


@pytest.mark.parametrize("case", named(COMPRESSION["valid"]))
def test_compressed_bodies(case):
    data, body = bytes.fromhex(case["data"]), bytes.fromhex(case["body"])

    assert p.decompress_body(data, case["size"]) == body
    assert p.decompress_body(p.compress_body(body), case["size"]) == body


@pytest.mark.parametrize("case", named(COMPRESSION["invalid"]))
def test_refused_compressed_bodies(case):
    assert reason_of(lambda: p.decompress_body(received(case, "data"), case["size"])) == case["reason"]


def check_stored(case: dict) -> None:
    p.check_stored(
        bytes.fromhex(case["stored_at"]),
        None if case["subkey"] is None else bytes.fromhex(case["subkey"]),
        received(case, "value"),
        float(case["expiry"]),
        manifest=manifest_of(STORAGE),
        now=case["now"],
    )


@pytest.mark.parametrize("case", named(STORAGE["valid"]))
def test_what_is_stored(case):
    assert p.dht_id(bytes.fromhex(case["key"])).hex() == case["stored_at"]
    check_stored(case)


@pytest.mark.parametrize("case", named(STORAGE["invalid"]))
def test_what_is_not_stored(case):
    assert reason_of(lambda: check_stored(case)) == case["reason"]


def test_dht_keys():
    for case in TOPICS["announcement_keys"]:
        swarm, task = bytes.fromhex(case["swarm"]), bytes.fromhex(case["task_id"])
        assert p.announcement_key(swarm, case["round"], task, case["shard"]).hex() == case["key"]
    for case in TOPICS["membership_keys"]:
        assert p.membership_key(bytes.fromhex(case["swarm"]), case["shard"]).hex() == case["key"]
    for case in TOPICS["body_keys"]:
        assert p.body_key(bytes.fromhex(case["swarm"]), bytes.fromhex(case["digest"])).hex() == case["key"]
    for case in TOPICS["publisher_keys"]:
        assert p.publisher_key(bytes.fromhex(case["swarm"]), case["publisher"]).hex() == case["key"]


def test_shards():
    for case in TOPICS["shards"]:
        for count, shard in case["shard_by_count"].items():
            assert p.shard_of(case["peer_id"], bytes.fromhex(case["salt"]), int(count)) == shard


def test_held_out_partition():
    assert [p.is_held_out(q["text"]) for q in HELD_OUT["questions"]] == [
        q["held_out"] for q in HELD_OUT["questions"]
    ]
    assert {q["held_out"] for q in HELD_OUT["questions"]} == {True, False}

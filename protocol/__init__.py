"""The contract between peers: formats, keys, limits and verification. Pure functions of their arguments.

No asyncio, sockets, files, clock or randomness, and nothing of `swarmd`. `SPEC.md` and `vectors/` beside
this file are enough to write a second implementation.
"""

from protocol.encoding import decode, encode
from protocol.envelope import Opened, open_envelope, seal
from protocol.errors import InvalidLocal, ProtocolError, Reason, RejectedRecord
from protocol.held_out import HELD_OUT_BYTE_BELOW, is_held_out
from protocol.keys import KeyPair, PeerId, peer_id_from_public_key, public_key_from_peer_id
from protocol.limits import (
    ADDRESSES_MAX,
    ANNOUNCEMENT_BYTES_MAX,
    CLOCK_SKEW_S_MAX,
    COMPLETION_TEXT_BYTES_MAX,
    COMPLETIONS_MAX,
    COMPLETIONS_MIN,
    MANIFEST_BYTES_MAX,
    MEMBERSHIP_SHARDS,
    RECORD_BYTES_MAX,
    RECORD_LIFETIME_S_MAX,
    SHARD_ENTRIES_MAX,
    SHARDS_MAX,
    STATUS_BYTES_MAX,
    STATUS_LIFETIME_S_MAX,
)
from protocol.manifest import Manifest, TaskFamily, canonical_json
from protocol.records import (
    ANNOUNCEMENT_DOMAIN,
    ANNOUNCEMENT_PAYLOAD_TYPE,
    RECORD_DOMAIN,
    RECORD_PAYLOAD_TYPE,
    STATUS_DOMAIN,
    STATUS_PAYLOAD_TYPE,
    Announcement,
    Completion,
    PeerStatus,
    Record,
    TaskSpec,
)
from protocol.topics import announcement_key, body_key, membership_key, shard_of
from protocol.verify import (
    VerifiedAnnouncement,
    VerifiedRecord,
    VerifiedStatus,
    digest_of,
    sign_announcement,
    sign_record,
    sign_status,
    verify_announcement,
    verify_record,
    verify_status,
)

__all__ = [
    "ADDRESSES_MAX",
    "ANNOUNCEMENT_BYTES_MAX",
    "ANNOUNCEMENT_DOMAIN",
    "ANNOUNCEMENT_PAYLOAD_TYPE",
    "CLOCK_SKEW_S_MAX",
    "COMPLETIONS_MAX",
    "COMPLETIONS_MIN",
    "COMPLETION_TEXT_BYTES_MAX",
    "HELD_OUT_BYTE_BELOW",
    "MANIFEST_BYTES_MAX",
    "MEMBERSHIP_SHARDS",
    "RECORD_BYTES_MAX",
    "RECORD_DOMAIN",
    "RECORD_LIFETIME_S_MAX",
    "RECORD_PAYLOAD_TYPE",
    "SHARDS_MAX",
    "SHARD_ENTRIES_MAX",
    "STATUS_BYTES_MAX",
    "STATUS_DOMAIN",
    "STATUS_LIFETIME_S_MAX",
    "STATUS_PAYLOAD_TYPE",
    "Announcement",
    "Completion",
    "InvalidLocal",
    "KeyPair",
    "Manifest",
    "Opened",
    "PeerId",
    "PeerStatus",
    "ProtocolError",
    "Reason",
    "Record",
    "RejectedRecord",
    "TaskFamily",
    "TaskSpec",
    "VerifiedAnnouncement",
    "VerifiedRecord",
    "VerifiedStatus",
    "announcement_key",
    "body_key",
    "canonical_json",
    "decode",
    "digest_of",
    "encode",
    "is_held_out",
    "membership_key",
    "open_envelope",
    "peer_id_from_public_key",
    "public_key_from_peer_id",
    "seal",
    "shard_of",
    "sign_announcement",
    "sign_record",
    "sign_status",
    "verify_announcement",
    "verify_record",
    "verify_status",
]

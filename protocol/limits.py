"""All bounds of the protocol, each with its unit and the reason for its value (SPEC section 3).

Text is bounded in UTF-8 bytes, not characters, because bytes are what is sent and what a receiver must hold.
"""

from __future__ import annotations

# --- whole messages: bytes of the signed envelope
RECORD_BYTES_MAX = (
    65_536  # the DHT breaks at 4 MiB per value; 64 KiB fits one inline copy and is pulled in 1.3 ms
)
ANNOUNCEMENT_BYTES_MAX = 512  # a full shard of 64 is 32 KiB, and a store downloads the whole shard
STATUS_BYTES_MAX = 4_096  # eight addresses of 256 bytes, and the counters
FULL_STATUS_BYTES_MAX = 8_192  # a status and 32 publishers of 80 bytes each; DHT nodes never hold one
CREDIT_STATUS_BYTES_MAX = 12_288  # a full status and 32 credits of 110 bytes each
VERSIONS_BYTES_MAX = 256  # two numbers and an agent of 64 bytes
CHARTER_BYTES_MAX = 4_096  # eight addresses and four URLs of 256 bytes each, and the rest
MANIFEST_BYTES_MAX = 262_144  # all 106 reasoning-gym datasets with their options take about 40 KiB

# --- data items of a payload, including containers and map keys: bounds the cost of parsing
RECORD_ITEMS_MAX = 1_024  # 64 completions of 13 items and the rest total 880
TURNS_RECORD_ITEMS_MAX = 12_288  # 64 completions of 16 turns of 11 items and the rest total 11,632
ANNOUNCEMENT_ITEMS_MAX = 32  # ten fields total 21
STATUS_ITEMS_MAX = 64  # seventeen fields and eight addresses total 43
FULL_STATUS_ITEMS_MAX = 256  # those and 32 publishers of 5 items total 205
CREDIT_STATUS_ITEMS_MAX = 512  # a full status's 205 and 32 credits of 9 items total 495
VERSIONS_ITEMS_MAX = 16  # three fields total 7
CHARTER_ITEMS_MAX = 32  # six fields, eight addresses and four URLs total 25
MANIFEST_ITEMS_MAX = 4_096  # 256 task families of 13 items and the rest total 3,343

# --- shards of the DHT
SHARDS_MAX = 64  # a power of two; 64 shards x 64 entries hold 4096 announcements per task and round
# a store moves the whole dictionary: 1000 x 200 B took 1.1 MB, 100 x 200 B took 0.12 MB
SHARD_ENTRIES_MAX = 64
MEMBERSHIP_SHARDS = (
    16  # 16 x 64 entries: all peers of a swarm of up to about a thousand; a sample of a larger swarm
)
MEMBERSHIP_SHARDS_MAX = 64  # in a larger swarm, so that more nodes share the work

# --- time, seconds
# NTP stays within milliseconds; the DHT itself refuses peers skewed by more than 3 s at join
CLOCK_SKEW_S_MAX = 30
RECORD_LIFETIME_S_MAX = (
    21_600  # six hours: the slowest CPU peers take minutes per step; older text teaches nothing new
)
ANNOUNCEMENT_LIFETIME_S_MAX = (
    900  # after its round; peers announce for 300 s or four rounds, and read the last three rounds
)
ANNOUNCEMENT_ROUNDS_MAX = 8  # ... or this many rounds after its own, for long rounds: twice what peers use
STATUS_LIFETIME_S_MAX = 3_600  # peers republish about once a minute; one silent for an hour has left
ROUND_S_MAX = 86_400  # one day; with longer rounds no task would stay fresh

# --- numbers
INT_MAX = 2**53 - 1  # the largest integer JavaScript reads exactly (ECMA-262 Number.MAX_SAFE_INTEGER)
DEPTH_MAX = 8  # nested CBOR containers; the deepest payload uses three
MICRO = 1_000_000  # rewards and logprobs are sent in millionths
MILLI = 1_000  # pass rates, means and temperatures are sent in thousandths
TEMPERATURE_MILLI_MAX = 10_000  # above 10, softmax is practically uniform
SEED_MAX = 2**32 - 1  # accepted by every task source (numpy and Mersenne Twister seeds)
INDEX_MAX = 2**20  # questions drawn from one seed
WEIGHT_MAX = 1_000_000
COMPLETION_TOKENS_MAX = 16_384  # the number of bytes in the longest completion

# --- collections
COMPLETIONS_MIN = 2  # a single completion has no advantage over its group
COMPLETIONS_MAX = 64
TURNS_MAX = 16  # per completion; every receiver regenerates the observations in between
TASKS_MAX = 256  # twice the datasets of reasoning-gym
RECORDS_PER_ROUND_MAX = 4_096  # per publisher; more than a task's announcement slots would be useless
USED_MAX = 32  # publishers named in a full status; a peer draws only from its few contacts
CREDITS_MAX = 32  # credits in a status: as many as the publishers it names; few publishers also have people
URLS_MAX = 4  # download locations of one file; more are no safer
ADDRESSES_MAX = 8  # listen addresses of two families, one or two relays, and some spare

# --- text, UTF-8 bytes
COMPLETION_TEXT_BYTES_MAX = 16_384  # four of these fill a record
CONFIG_BYTES_MAX = 1_024
NAME_BYTES_MAX = 64  # swarm, task, source, dataset, version
MODEL_BYTES_MAX = 128  # a hub id: owner and name of up to 96 characters in total, and some spare
ANNOUNCED_MODEL_BYTES_MAX = 64  # the announcement must stay within 512
ADDRESS_BYTES_MAX = 256
URL_BYTES_MAX = 256
PHASE_BYTES_MAX = 32
LABEL_BYTES_MAX = 64  # device and agent in a status

# --- fixed widths, bytes
DIGEST_BYTES = 32  # SHA-256
TASK_ID_BYTES = 16  # half of a SHA-256; a collision needs about 2**64 families
FINGERPRINT_BYTES = 8  # for comparing tokenizers only, never for authentication

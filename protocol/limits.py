"""Every bound of the protocol, each with its unit and the reason for its size (SPEC section 3).

Bounds on text count UTF-8 bytes, never characters: bytes are what travels and what a receiver must hold.
"""

from __future__ import annotations

# --- whole messages, bytes of the signed envelope
RECORD_BYTES_MAX = (
    65_536  # the DHT breaks at 4 MiB per value; 64 KiB also fits one inline copy and pulls in 1.3 ms
)
ANNOUNCEMENT_BYTES_MAX = 512  # 64 of them, one full shard, are 32 KiB: a store downloads the whole shard
STATUS_BYTES_MAX = 4_096  # eight addresses of 256 bytes and the counters
FULL_STATUS_BYTES_MAX = 8_192  # a status, and 32 publishers of 80 bytes each; no DHT node ever holds one
CREDIT_STATUS_BYTES_MAX = 12_288  # a full status, and 32 credits of 110 bytes each
VERSIONS_BYTES_MAX = 256  # two numbers and an agent of 64 bytes
CHARTER_BYTES_MAX = 4_096  # eight addresses and four URLs of 256 bytes each, and the rest
MANIFEST_BYTES_MAX = 262_144  # all 106 reasoning-gym datasets with their options take some 40 KiB

# --- data items of a payload, containers and map keys included: what reading a stranger's bytes may cost
RECORD_ITEMS_MAX = 1_024  # 64 completions of 13 items and the rest make 880
TURNS_RECORD_ITEMS_MAX = 12_288  # 64 completions of 16 turns of 11 items and the rest make 11,632
ANNOUNCEMENT_ITEMS_MAX = 32  # ten fields make 21
STATUS_ITEMS_MAX = 64  # seventeen fields and eight addresses make 43
FULL_STATUS_ITEMS_MAX = 256  # those, and 32 publishers of 5 items, make 205
CREDIT_STATUS_ITEMS_MAX = 512  # a full status's 205, and 32 credits of 9 items, make 495
VERSIONS_ITEMS_MAX = 16  # three fields make 7
CHARTER_ITEMS_MAX = 32  # six fields, eight addresses and four URLs make 25
MANIFEST_ITEMS_MAX = 4_096  # 256 task families of 13 items and the rest make 3,343

# --- shards of the DHT
SHARDS_MAX = 64  # power of two; 64 shards x 64 entries: 4096 announcements of one task in one round
SHARD_ENTRIES_MAX = 64  # a store moves the whole dictionary: 1000 x 200 B cost 1.1 MB, 100 x 200 B 0.12 MB
MEMBERSHIP_SHARDS = (
    16  # 16 x 64 entries: a swarm up to about a thousand peers is seen whole, a larger one sampled
)

# --- time, seconds
CLOCK_SKEW_S_MAX = 30  # NTP holds milliseconds; the DHT itself refuses peers skewed by more than 3 s at join
RECORD_LIFETIME_S_MAX = (
    21_600  # six hours: the slowest CPU peers take minutes per step; older text teaches nothing new
)
ANNOUNCEMENT_LIFETIME_S_MAX = (
    900  # after its round; peers announce for 300 s or four rounds, read three rounds back
)
ANNOUNCEMENT_ROUNDS_MAX = 8  # ... or this many rounds after its own, if rounds are long: twice what peers use
STATUS_LIFETIME_S_MAX = 3_600  # republished every minute or so; a peer silent for an hour has left
ROUND_S_MAX = 86_400  # one day; a longer round would keep no task fresh

# --- numbers
INT_MAX = 2**53 - 1  # what JavaScript reads exactly (ECMA-262 Number.MAX_SAFE_INTEGER)
DEPTH_MAX = 8  # nested CBOR containers; the deepest payload uses three
MICRO = 1_000_000  # rewards and logprobs travel in millionths
MILLI = 1_000  # pass rates, means and temperatures in thousandths
TEMPERATURE_MILLI_MAX = 10_000  # beyond 10 every softmax is as good as uniform
SEED_MAX = 2**32 - 1  # what every source of tasks takes (numpy and Mersenne Twister seeds)
INDEX_MAX = 2**20  # questions drawn from one seed
WEIGHT_MAX = 1_000_000
COMPLETION_TOKENS_MAX = 16_384  # as many as the bytes of the longest completion

# --- collections
COMPLETIONS_MIN = 2  # one completion has no advantage over its group
COMPLETIONS_MAX = 64
TURNS_MAX = 16  # of one completion: the observations in between are made again for every receiver
TASKS_MAX = 256  # twice the datasets of reasoning-gym
RECORDS_PER_ROUND_MAX = 4_096  # of one publisher; more than a task's announcement slots would mean nothing
USED_MAX = 32  # publishers named in a full status; a peer draws from its contacts, and those are few
CREDITS_MAX = 32  # credits of a status: as many publishers as it names, of which few have people too
URLS_MAX = 4  # places of one file: more are no safer
ADDRESSES_MAX = 8  # listen addresses on two families, a relay or two, and some to spare

# --- text, UTF-8 bytes
COMPLETION_TEXT_BYTES_MAX = 16_384  # four of them fill a record
CONFIG_BYTES_MAX = 1_024
NAME_BYTES_MAX = 64  # swarm, task, source, dataset, version
MODEL_BYTES_MAX = 128  # a hub id: owner and name of up to 96 characters in all, and some to spare
ANNOUNCED_MODEL_BYTES_MAX = 64  # the announcement must stay within 512
ADDRESS_BYTES_MAX = 256
URL_BYTES_MAX = 256
PHASE_BYTES_MAX = 32
LABEL_BYTES_MAX = 64  # device and agent of a status

# --- fixed widths, bytes
DIGEST_BYTES = 32  # SHA-256
TASK_ID_BYTES = 16  # the first half of a SHA-256; collisions would need 2**64 families
FINGERPRINT_BYTES = 8  # a tokenizer is compared, never authenticated

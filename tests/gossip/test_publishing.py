"""Own groups: which are published, as what, and how they are announced."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import SHARDS_MAX, KeyPair, Manifest, outside_of_names, verify_announcement, verify_record
from swarmd import gossip as g
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.publishing import Publisher, fit
from swarmd.gossip.shards import ShardCount
from tests.gossip.making import START, completion, key, make_group, make_manifest

OWN = key(1)
MANIFEST = make_manifest()
LIMITS = GossipLimits()


def machine(manifest: Manifest = MANIFEST, signer: KeyPair = OWN, *, dialable: bool = True) -> g.Gossip:
    return g.Gossip(key=signer, manifest=manifest, rng=random.Random(1), dialable=dialable)


def of_type(commands: list[g.Command], kind: type) -> list:
    return [command for command in commands if isinstance(command, kind)]


def test_an_informative_group_becomes_a_stored_record_and_one_announcement():
    gossip = machine()
    stored = of_type(gossip.handle(make_group(MANIFEST, 1, (1.0, 0.0, 0.0, 0.0)), START + 1), g.StoreBlob)
    record = verify_record(
        stored[0].envelope, manifest=MANIFEST, now=START + 1, digest=stored[0].digest, publisher=OWN.peer_id
    ).record
    assert record.round == MANIFEST.round_at(START + 1)

    (announce,) = of_type(gossip.handle(g.Tick(1), START + 2), g.Announce)
    announced = verify_announcement(announce.envelopes[0], manifest=MANIFEST, now=START + 2)
    assert announced.announcement.digest == stored[0].digest
    assert announced.announcement.size == len(stored[0].envelope)
    assert announced.announcement.pass_rate_milli == 250
    assert announced.announcement.expires == record.expires


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/u/\u202egnp.exe", "/home/u/_gnp.exe"),
        ("/models/two\nlines\u2028or\x1b[31mred", "/models/two_lines_or_[31mred"),
        ("mode\u0300le", "modèle"),
        (" spaces at both ends \t", "spaces at both ends _"),
        ("\u200b", "_"),
        ("", "_"),
        ("/модели/模型", "/модели/模型"),
        ("x" * 127 + " y", "x" * 127),
        ("模" * 50, "模" * 42),
    ],
)
def test_a_group_is_published_whatever_the_path_of_its_model_holds(path: str, shown: str):
    gossip = machine()
    group = replace(make_group(MANIFEST, 1), model=path)
    (stored,) = of_type(gossip.handle(group, START), g.StoreBlob)
    record = verify_record(stored.envelope, manifest=MANIFEST, now=START).record
    assert record.model == shown
    assert gossip.statistics().groups_unpublished == {}


@given(st.text(max_size=60), st.integers(8, 64))
def test_any_text_can_be_made_a_name(text: str, bytes_max: int):
    name = fit(text, bytes_max)
    assert 1 <= len(name.encode()) <= bytes_max
    assert outside_of_names(name) is None
    assert name == name.strip()


def test_an_announcement_ends_with_its_round_although_the_record_lives_longer():
    limits = GossipLimits(record_lifetime_s_min=5_000.0)
    gossip = g.Gossip(key=OWN, manifest=MANIFEST, rng=random.Random(1), limits=limits, dialable=True)
    (stored,) = of_type(gossip.handle(make_group(MANIFEST, 1), START), g.StoreBlob)
    (announce,) = of_type(gossip.handle(g.Tick(1), START + 1), g.Announce)
    record = verify_record(stored.envelope, manifest=MANIFEST, now=START).record
    announced = verify_announcement(announce.envelopes[0], manifest=MANIFEST, now=START).announcement
    assert record.expires == START + 5_000
    assert announced.expires == MANIFEST.announced_until(record.round) - 1 < record.expires


def test_groups_of_one_step_are_announced_together_and_once():
    gossip = machine()
    for number in range(4):
        gossip.handle(make_group(MANIFEST, number), START)
    (announce,) = of_type(gossip.handle(g.Tick(1), START + 1), g.Announce)
    assert len(announce.envelopes) == 4
    gossip.handle(g.Announced(4), START + 1)
    assert not of_type(gossip.handle(g.Tick(1), START + 2), g.Announce)


def announced_at(gossip: g.Gossip, seconds: range) -> list[int]:
    """The seconds after START at which each announcement is made, while groups are offered at START."""
    found: list[int] = []
    for second in seconds:
        for announce in of_type(gossip.handle(g.Tick(1), START + second), g.Announce):
            found += [second] * len(announce.envelopes)
            gossip.handle(g.Announced(len(announce.envelopes)), START + second)
    return found


def in_all_shards() -> g.Gossip:
    """Two peers' worth of records, as many of one task as need all shards."""
    limits = GossipLimits(shard_entries_target=1, announce_batch_max=64)
    manifest = make_manifest(tasks=1)
    gossip = g.Gossip(key=OWN, manifest=manifest, rng=random.Random(1), limits=limits)
    for number in range(64):
        gossip.handle(make_group(manifest, number), START)
    assert gossip.statistics().shards == SHARDS_MAX
    return gossip


def test_where_all_shards_are_in_use_announcing_is_spread_over_two_rounds():
    gossip = in_all_shards()
    seconds = announced_at(gossip, range(1, 60))
    assert len(seconds) == 64, "each is announced once"
    spread_s = LIMITS.spread_rounds * MANIFEST.round_seconds
    late = [second for second in seconds if second > 1]
    assert max(late) <= spread_s + 1
    assert len(set(late)) > spread_s / 3


@pytest.mark.parametrize("round_seconds", [60, 5_400, 86_400])
def test_every_record_is_announced_before_half_of_its_life_is_over(round_seconds: int) -> None:
    manifest = make_manifest(tasks=1).model_copy(update={"round_seconds": round_seconds})
    shards = ShardCount(manifest, LIMITS)
    shards.update(1, swarm_size=100_000, own_per_round=1)
    assert shards.publish == SHARDS_MAX
    publisher = Publisher(OWN, manifest, LIMITS, dialable=True)
    publisher.start_round(manifest.round_at(int(START)))
    publisher.publish(make_group(manifest, 1), SHARDS_MAX, 64, START, wait_s=shards.spread_s)
    due = publisher.next_due
    batch = publisher.batch(due)
    assert batch is not None
    announced = verify_announcement(batch.envelopes[0], manifest=manifest, now=due).announcement
    assert due - START <= announced.expires - due + 1


def test_nobody_is_woken_for_an_announcement_that_is_not_due():
    publisher = Publisher(OWN, MANIFEST, LIMITS, dialable=True)
    publisher.start_round(MANIFEST.round_at(int(START)))
    assert publisher.next_due == math.inf
    publisher.publish(make_group(MANIFEST, 1), SHARDS_MAX, 64, START, wait_s=20.0)
    assert publisher.next_due == START + 20.0
    assert publisher.batch(START + 19.0) is None
    assert publisher.batch(START + 20.0) is not None


def test_an_announcement_that_waits_is_told_to_those_who_ask_at_once():
    publisher = Publisher(OWN, MANIFEST, LIMITS, dialable=True)
    publisher.start_round(MANIFEST.round_at(int(START)))
    _, told = publisher.publish(make_group(MANIFEST, 1), SHARDS_MAX, 64, START, wait_s=20.0)
    (stored,) = publisher.publish(make_group(MANIFEST, 2), SHARDS_MAX, 64, START)
    batch = publisher.batch(START + 20.0)
    assert isinstance(stored, g.StoreBlob), "announced at the next tick, so it needs no telling"
    assert batch is not None
    assert isinstance(told, g.TellAnnouncement)
    assert told.envelope in batch.envelopes


def test_a_restart_does_not_hurry_what_is_not_due():
    publisher = Publisher(OWN, MANIFEST, LIMITS, dialable=True)
    publisher.start_round(MANIFEST.round_at(int(START)))
    publisher.publish(make_group(MANIFEST, 1), SHARDS_MAX, 64, START)
    publisher.publish(make_group(MANIFEST, 2), SHARDS_MAX, 64, START, wait_s=20.0)
    publisher.announce_again(START + 1.0)
    batch = publisher.batch(START + 2.0)
    assert batch is not None
    assert len(batch.envelopes) == 1


def test_a_group_with_equal_rewards_is_not_published():
    gossip = machine()
    assert not of_type(gossip.handle(make_group(MANIFEST, 1, (0.5, 0.5)), START), g.StoreBlob)
    assert gossip.statistics().groups_unpublished == {"uninformative": 1}


def test_a_group_that_is_right_throughout_is_published_if_the_offer_says_so():
    gossip, right = machine(), make_group(MANIFEST, 1, (1.0, 1.0))
    assert not of_type(gossip.handle(right, START), g.StoreBlob)
    assert of_type(gossip.handle(replace(right, even_all_right=True), START), g.StoreBlob)
    (announce,) = of_type(gossip.handle(g.Tick(1), START + 1), g.Announce)
    announced = verify_announcement(announce.envelopes[0], manifest=MANIFEST, now=START + 1)
    assert announced.announcement.pass_rate_milli == 999, "others take 1000 for a group that teaches nothing"


def test_a_round_takes_no_more_than_the_manifest_allows_and_the_next_one_begins_anew():
    manifest = make_manifest(records_per_round_max=2)
    gossip = machine(manifest)
    for number in range(5):
        gossip.handle(make_group(manifest, number), START)
    assert gossip.statistics().groups_published == 2
    assert gossip.statistics().groups_unpublished == {"round_budget": 3}
    gossip.handle(make_group(manifest, 9), START + manifest.round_seconds)
    assert gossip.statistics().groups_published == 3


def test_before_genesis_nothing_is_published():
    gossip = machine()
    told = of_type(gossip.handle(make_group(MANIFEST, 1), MANIFEST.genesis - 60), g.NotPublished)
    assert told == [g.NotPublished(g.Unpublished.BEFORE_GENESIS)]
    assert gossip.statistics().groups_unpublished == {"before_genesis": 1}


def test_a_record_that_nobody_would_accept_is_not_published_and_says_why():
    gossip = machine()
    long = "x" * 16_000
    rich = [completion(i % 2, long + str(i)) for i in range(5)]
    group = make_group(MANIFEST, 1)
    too_large = g.GroupOffer(**{**vars(group), "completions": tuple(rich)})
    [told] = of_type(gossip.handle(too_large, START), g.NotPublished)
    seen = gossip.statistics()
    assert (told.reason, told.detail) == (g.Unpublished.INVALID, seen.last_invalid)
    assert seen.groups_unpublished == {"invalid": 1}
    assert "bytes" in seen.last_invalid


def test_a_long_model_name_is_cut_and_not_a_reason_to_stay_silent():
    gossip = machine()
    group = g.GroupOffer(**{**vars(make_group(MANIFEST, 1)), "model": "/very/long/päth" * 30})
    assert of_type(gossip.handle(group, START), g.StoreBlob)


def test_a_peer_that_cannot_be_dialled_also_stores_the_body_in_the_dht():
    group = make_group(MANIFEST, 1)
    (body,) = of_type(machine(dialable=False).handle(group, START), g.StoreBody)
    (blob,) = of_type(machine(dialable=True).handle(group, START), g.StoreBlob)
    assert body.envelope == blob.envelope
    assert not of_type(machine(dialable=True).handle(group, START), g.StoreBody)


def test_whether_it_can_be_dialled_is_learned_while_it_runs():
    gossip = machine(dialable=True)
    stored = []
    for second, dialable in enumerate((None, False, None, True)):
        gossip.handle(g.Tick(1, dialable), START + second)
        commands = gossip.handle(make_group(MANIFEST, second), START + second)
        assert of_type(commands, g.StoreBlob)
        stored.append(bool(of_type(commands, g.StoreBody)))
    assert stored == [False, True, True, False]


def test_a_batch_that_was_not_stored_is_tried_once_more_and_then_left():
    gossip = machine()
    gossip.handle(make_group(MANIFEST, 1), START)
    for second in (1, 2):
        assert of_type(gossip.handle(g.Tick(1), START + second), g.Announce)
        gossip.handle(g.Announced(0), START + second)
    assert not of_type(gossip.handle(g.Tick(1), START + 3), g.Announce)


def test_an_answer_that_never_comes_does_not_silence_the_publisher():
    gossip = machine()
    gossip.handle(make_group(MANIFEST, 1), START)
    gossip.handle(g.Tick(1), START + 1)
    gossip.handle(make_group(MANIFEST, 2), START + 2)
    assert not of_type(gossip.handle(g.Tick(1), START + 3), g.Announce)
    (again,) = of_type(gossip.handle(g.Tick(1), START + 70), g.Announce)
    assert len(again.envelopes) == 2


def test_after_a_restart_everything_unexpired_is_announced_again():
    gossip = machine()
    gossip.handle(make_group(MANIFEST, 1), START)
    gossip.handle(make_group(MANIFEST, 2), START + 200)
    gossip.handle(g.Tick(1), START + 201)
    gossip.handle(g.Announced(2), START + 201)
    gossip.handle(g.NetworkRestarted(), START + 350)
    (announce,) = of_type(gossip.handle(g.Tick(1), START + 351), g.Announce)
    assert len(announce.envelopes) == 1, "the first has expired after 300 s"


def test_what_has_expired_is_not_kept_to_be_announced_again():
    gossip = machine()
    lives_s = LIMITS.record_lifetime_s_min + LIMITS.record_lifetime_rounds * MANIFEST.round_seconds
    for group in range(1_000):
        gossip.handle(make_group(MANIFEST, group), START + group)
    kept = gossip._publisher._recent
    assert 0 < len(kept) <= lives_s
    assert all(announced.expires > START + 999 for announced in kept)


def test_what_piled_up_alone_is_announced_the_newest_first_in_batches_that_are_no_flood():
    """A peer that trained alone for long meets a newcomer, which would take it all for a flood."""
    manifest = make_manifest(records_per_round_max=64)
    gossip, most = machine(manifest), GossipLimits().announce_batch_max
    count = 2 * most + 3
    for number in range(count):
        (last,) = of_type(gossip.handle(make_group(manifest, number, (1.0, 0.0)), START + 1), g.StoreBlob)
    batches = []
    for second in range(2, 7):
        for announce in of_type(gossip.handle(g.Tick(1), START + second), g.Announce):
            batches.append(announce.envelopes)
            gossip.handle(g.Announced(len(announce.envelopes)), START + second)
    assert [len(batch) for batch in batches] == [most, most, 3]
    assert len({envelope for batch in batches for envelope in batch}) == count
    newest = verify_announcement(batches[0][-1], manifest=manifest, now=START + 2).announcement
    assert newest.digest == last.digest

"""A new version of the swarm: only its author's word counts, it is passed on, and nobody moves by himself."""

from __future__ import annotations

from protocol import Charter, KeyPair, VerifiedCharter, sign_charter, verify_charter
from swarmd.finding.news import News
from tests.finding.making import AUTHOR, NOW, STRANGER, URL


def charter(
    version: int,
    *,
    by: KeyPair = AUTHOR,
    name: str = "garden",
    rules: int = 0,
    urls: tuple[str, ...] = (URL,),
) -> VerifiedCharter:
    signed = sign_charter(
        by,
        Charter(name=name, version=version, swarm=bytes([rules]) * 32, created=NOW, bootstrap=(), urls=urls),
    )
    return verify_charter(signed)


def test_the_own_charter_is_told_until_a_newer_one_is_heard():
    news = News(charter(1))
    assert news.to_tell == charter(1).envelope
    newer = news.after(charter(2, rules=1).envelope)
    assert newer.to_tell == charter(2, rules=1).envelope


def test_a_newer_version_is_told_with_the_way_to_join_it():
    words = News(charter(1)).after(charter(2, rules=1).envelope).words("/my home")
    assert words is not None
    assert "garden, version 2" in words
    assert f"its file is at {URL}" in words
    assert "stays in version 1 until" in words
    assert "`swarmd swarm accept --home '/my home'`" in words


def test_a_version_without_an_address_says_to_ask_the_author():
    words = News(charter(1)).after(charter(2, rules=1, urls=()).envelope).words("/h")
    assert words is not None
    assert "get its file from the author" in words


def test_new_addresses_for_the_same_rules_are_no_news_to_a_person():
    news = News(charter(1)).after(charter(2).envelope)
    assert news.words("/h") is None
    assert news.to_tell == charter(2).envelope


def test_what_is_not_the_authors_or_not_newer_changes_nothing():
    news = News(charter(2)).after(charter(4, rules=1).envelope)
    for other in (
        charter(9, by=STRANGER),
        charter(9, name="other"),
        charter(3, rules=2),
        charter(4, rules=2),
        charter(1),
    ):
        assert news.after(other.envelope) == news


def test_bytes_that_are_no_charter_change_nothing():
    news = News(charter(1))
    for junk in (b"", b"\0" * 9_999, charter(2).envelope[:-1], charter(2).envelope + b"\0"):
        assert news.after(junk) == news


def test_who_knows_no_author_believes_nobody():
    assert News(None).after(charter(1).envelope) == News(None)
    assert News(None).to_tell is None

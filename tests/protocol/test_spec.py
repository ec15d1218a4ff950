"""SPEC.md is normative: what it says in tables is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import protocol
from protocol import (
    Announcement,
    Charter,
    Completion,
    Episode,
    FullStatus,
    Manifest,
    PeerStatus,
    Reason,
    Record,
    TaskFamily,
    TaskSpec,
    Turn,
    TurnsRecord,
    Used,
    limits,
)

SPEC = (Path(protocol.__file__).parent / "SPEC.md").read_text()


def section(number: str) -> str:
    found = re.search(rf"^##+ {re.escape(number)} .*?(?=^##+ \d|\Z)", SPEC, re.MULTILINE | re.DOTALL)
    assert found, f"SPEC has no section {number}"
    return found.group()


def first_cells(text: str) -> list[str]:
    """The first column of the tables in `text`, without headings; a cell may name several things."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return [name.strip(" `") for row in rows[1:] for name in row.split(",")]


def test_every_limit_stands_in_the_table_with_its_value():
    stated = dict(re.findall(r"^\| ([A-Z_]+) \| (\d+) \|", section("3"), re.MULTILINE))

    assert stated == {name: str(value) for name, value in vars(limits).items() if name.isupper()}


@pytest.mark.parametrize(
    ("number", "payload"),
    [
        ("6.2", TaskFamily),
        ("6.3", Manifest),
        ("6.5", TaskSpec),
        ("6.6", Completion),
        ("6.7", Record),
        ("6.8", Announcement),
        ("6.9", PeerStatus),
        ("6.11", Used),
        ("6.12", Charter),
        ("6.13", Episode),
        ("6.15", protocol.Credit),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_payload_has_exactly_the_fields_of_its_table(number, payload):
    assert sorted(first_cells(section(number))) == sorted(payload.model_fields)


def test_a_full_status_is_a_status_with_one_field_more():
    assert set(FullStatus.model_fields) - set(PeerStatus.model_fields) == {"used"}
    assert "and `used`:" in section("6.11")


def test_a_status_with_credits_is_a_full_status_with_one_field_more():
    assert set(protocol.CreditStatus.model_fields) - set(FullStatus.model_fields) == {"credits"}
    assert "and `credits`:" in section("6.15")


def test_a_record_of_turns_has_the_fields_of_a_record_and_turns_those_of_a_completion():
    assert set(TurnsRecord.model_fields) == set(Record.model_fields)
    assert set(Completion.model_fields) - set(Turn.model_fields) == {"reward_micro"}
    stated = section("6.13").partition("A turn has the fields")[2].partition("of 6.6")[0]
    assert set(re.findall(r"`(\w+)`", stated)) == set(Turn.model_fields)


def test_the_answer_about_versions_has_exactly_the_fields_of_its_table():
    table = section("10").partition("10.6.")[2].partition("10.7.")[0]
    assert sorted(first_cells(table)) == sorted(protocol.Versions.model_fields)


def test_every_reason_is_listed():
    assert first_cells(section("8.7")) == [reason.value for reason in Reason]


def test_domains_and_payload_types_are_those_of_the_table():
    for domain, kind in (
        (protocol.RECORD_DOMAIN, protocol.RECORD_PAYLOAD_TYPE),
        (protocol.ANNOUNCEMENT_DOMAIN, protocol.ANNOUNCEMENT_PAYLOAD_TYPE),
        (protocol.RECORD_DOMAIN, protocol.TURNS_RECORD_PAYLOAD_TYPE),
        (protocol.STATUS_DOMAIN, protocol.STATUS_PAYLOAD_TYPE),
        (protocol.STATUS_DOMAIN, protocol.FULL_STATUS_PAYLOAD_TYPE),
        (protocol.STATUS_DOMAIN, protocol.CREDIT_STATUS_PAYLOAD_TYPE),
        (protocol.CHARTER_DOMAIN, protocol.CHARTER_PAYLOAD_TYPE),
    ):
        assert f"| `{domain}` | `{kind.decode()}` |" in section("5")


def test_the_held_out_bound_is_the_one_stated():
    assert f"below {protocol.HELD_OUT_BYTE_BELOW}." in section("9")


def test_every_vector_file_is_described():
    files = {path.name for path in (Path(protocol.__file__).parent / "vectors").iterdir()}

    assert set(re.findall(r"`(\w+\.json)`", section("12"))) == files

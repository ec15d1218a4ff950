"""Writes protocol/vectors/*.json: what a second implementation must accept, refuse and derive.

    python tests/protocol/make_vectors

Deterministic: fixed seeds and times. `test_vectors.py` checks that the committed files are what this writes
and that this implementation agrees with every one of them.
"""

from __future__ import annotations

import json
from pathlib import Path

import vector_charters
import vector_compression
import vector_credits
import vector_formats
import vector_messages
import vector_payloads
import vector_storage
import vector_texts
import vector_turns
import vector_versions

import protocol

MAKERS = {
    "keys.json": vector_formats.keys_file,
    "encoding.json": vector_formats.encoding_file,
    "envelopes.json": vector_formats.envelopes_file,
    "topics.json": vector_formats.topics_file,
    "held_out.json": vector_formats.held_out_file,
    "names.json": vector_texts.names_file,
    "configs.json": vector_texts.configs_file,
    "manifests.json": vector_payloads.manifests_file,
    "records.json": vector_payloads.records_file,
    "turns_records.json": vector_turns.turns_records_file,
    "announcements.json": vector_payloads.announcements_file,
    "statuses.json": vector_payloads.statuses_file,
    "full_statuses.json": vector_payloads.full_statuses_file,
    "credit_statuses.json": vector_credits.credit_statuses_file,
    "charters.json": vector_charters.charters_file,
    "versions.json": vector_versions.versions_file,
    "compression.json": vector_compression.compression_file,
    "storage.json": vector_storage.storage_file,
    "messages.json": vector_messages.messages_file,
}


def vector_files() -> dict[str, str]:
    """File name -> contents."""
    return {name: json.dumps(make(), indent=1) + "\n" for name, make in MAKERS.items()}


if __name__ == "__main__":
    directory = Path(protocol.__file__).parent / "vectors"
    directory.mkdir(exist_ok=True)
    for file_name, text in vector_files().items():
        (directory / file_name).write_text(text)

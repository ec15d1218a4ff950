"""A new swarm's manifest: the rules of another one, under a new name."""

from __future__ import annotations

import tomllib
from pathlib import Path

from swarmd.finding.drafting import draft

OTHER = """\
# About the other swarm.
name = "other"
genesis = 2026-01-01T00:00:00Z
round_seconds = 30
reward = "exact"
max_new_tokens = 64
records_per_round_max = 8

[[tasks]]
dataset = "gcd"

[tasks.config]
text = '''
# One
Two'''
"""


def test_the_rules_stay_and_the_words_about_the_other_swarm_go(tmp_path: Path):
    (tmp_path / "other.toml").write_text(OTHER)
    made = draft(str(tmp_path / "other.toml"), "garden", genesis=0)
    assert "About the other swarm" not in made
    rules = tomllib.loads(made)
    assert (rules["name"], rules["genesis"].timestamp()) == ("garden", 0)
    assert rules["tasks"] == tomllib.loads(OTHER)["tasks"]

"""A new swarm's manifest: the rules of another one, under a new name."""

from __future__ import annotations

import tomllib
from pathlib import Path

from swarmd.finding.drafting import draft
from tests.finding.making import RULES

OTHER = f"""\
{RULES}
[tasks.config]
text = '''
# One
Two'''
"""


def test_the_rules_stay_and_the_words_about_the_other_swarm_go(tmp_path: Path):
    (tmp_path / "other.toml").write_text(OTHER)
    made = draft(str(tmp_path / "other.toml"), "orchard", genesis=0)
    assert "how this garden grows" not in made
    rules = tomllib.loads(made)
    assert (rules["name"], rules["genesis"].timestamp()) == ("orchard", 0)
    assert rules["tasks"] == tomllib.loads(OTHER)["tasks"]

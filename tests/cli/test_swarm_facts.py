"""What `swarmd swarm show` says of a manifest that a stranger wrote."""

from __future__ import annotations

from swarmd.cli.swarm_facts import LAST_S, facts_of
from swarmd.tasks import SwarmFile, load_manifest


def test_a_swarm_that_begins_after_the_end_of_the_calendar_is_shown() -> None:
    manifest = load_manifest("starter").model_copy(update={"genesis": LAST_S + 1})
    facts = dict(facts_of(SwarmFile(manifest, None, ""), now=0.0))
    assert facts["began"].startswith("after the year 9999")

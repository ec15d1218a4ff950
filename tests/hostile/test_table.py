"""The table: which attacks there are, how they are chosen, and what a missed bound does to the exit code."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from tests.hostile.__main__ import choose, line, main
from tests.hostile.attacks import ATTACKS
from tests.hostile.figures import at_least, at_most, share, true
from tests.hostile.running import Outcome


def test_every_kind_of_the_issue_is_in_the_table_by_default() -> None:
    kinds = {attack.name.partition("-")[0] for attack in choose(None, everything=False)}
    assert kinds == {
        *("answers", "statuses", "shelf", "places", "draws", "streams"),
        *("flood", "dialling", "scorers", "holders", "small", "turns", "images"),
        *("judges", "environments", "naming"),
    }


def test_a_name_chooses_one_attack_and_the_beginning_of_a_name_all_that_begin_so() -> None:
    assert [attack.name for attack in choose(["streams-17"], everything=False)] == ["streams-17"]
    floods = choose(["flood-"], everything=False)
    assert {"flood-stores", "flood-searches", "flood-pulls"} < {attack.name for attack in floods}
    assert choose(["no such attack"], everything=False) == []
    assert choose(None, everything=True) == list(ATTACKS.values())


def test_a_figure_keeps_its_bound_or_does_not_and_what_was_not_measured_keeps_none() -> None:
    assert at_least("share", 0.8, 0.8).holds
    assert not at_least("share", 0.79, 0.8).holds
    assert at_most("seconds", 0.5, 0.5).holds
    assert not at_most("seconds", math.nan, 0.5).holds
    assert not at_least("share", share(1, 0), 0.0).holds
    assert not true("alive", False).holds


def test_an_outcome_holds_if_all_its_figures_do_and_the_attack_itself_did_not_break() -> None:
    good = Outcome("name", "what", (true("alive", True), at_most("seconds", 1, 2, " s")))
    assert good.holds
    assert not dataclasses.replace(good, broke="it could not start").holds
    bad = dataclasses.replace(good, figures=(true("alive", False), at_most("seconds", 1, 2, " s")))
    assert not bad.holds
    assert line(bad).splitlines() == [
        "MISSED name              what",
        "       ! alive 0 (>= 1)",
        "         seconds 1 s (<= 2)",
    ]


def test_list_names_them_and_an_unknown_name_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ATTACKS)
    with pytest.raises(SystemExit) as end:
        main(["--only", "no-such-attack"])
    assert end.value.code == 2


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [attack.name for attack in choose(None, everything=False)])
def test_against_real_daemons(name: str, tmp_path: Path) -> None:
    if name.startswith("environments-"):
        pytest.importorskip("textarena")
    assert main(["--only", name, "--json", str(tmp_path / "outcomes.json")]) == 0

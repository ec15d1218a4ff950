"""The commands that make the figures and the table of rivals in docs/results.md, from made-up results."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from swarmd.experiment.reporting import plots
from tests.experiment.made_up_results import CONFIG, write_results

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two nodes alone (4/0), and two that share and are named `ours`; each is good at one of two tasks."""
    path = tmp_path / "made-up"
    write_results(path, counted=True)
    alone, sharing = CONFIG.model_dump(mode="json")["configurations"]
    config = CONFIG.model_dump(mode="json") | {
        "specialities": [["gcd"], ["count_bits"]],
        "configurations": [alone, sharing | {"name": "ours"}],
    }
    (path / "experiment.json").write_text(json.dumps(config))
    for rounds in path.glob("runs/*/rounds.jsonl"):
        lines = [json.loads(line) for line in rounds.read_text().splitlines()]
        settings = lines[0]["settings"]["configuration"]
        settings["label"] = settings["label"].replace("2/2", "ours")
        for line in lines:
            if line["kind"] == "held_out":
                line["tasks"]["count_bits"] = {"success": 0.2, "questions": 4}
        rounds.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def run(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_three_figures_are_drawn(folder, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "plots"
    folders = ("--alike", f"0.001={folder}", "--specialists", str(folder), "--rivals", str(folder))
    run(monkeypatch, "results_figures.py", *folders, "--out", str(out))
    drawn = [out / f"{name}.svg" for name in ("gain-by-rarity", "specialists-by-round", "rivals")]
    assert [Path(line) for line in capsys.readouterr().out.split() if line.endswith(".svg")] == drawn
    assert all(file.stat().st_size > 1000 for file in drawn)


def test_the_figure_names_the_nodes_and_rounds_of_its_folders(folder, tmp_path, monkeypatch) -> None:
    more = tmp_path / "more"
    shutil.copytree(folder, more)
    config = json.loads((more / "experiment.json").read_text())
    (more / "experiment.json").write_text(json.dumps(config | {"name": "more", "rounds": 7}))
    notes: list[str] = []
    drawn = plots.title_and_note
    monkeypatch.setattr(plots, "title_and_note", lambda *given: notes.append(given[-1]) or drawn(*given))
    alike = ("--alike", f"0.001={folder}", f"0.01={more}")
    others = ("--specialists", str(folder), "--rivals", str(folder))
    run(monkeypatch, "results_figures.py", *alike, *others, "--out", str(tmp_path / "plots"))
    assert f"{CONFIG.nodes} nodes, {CONFIG.rounds} to 7 rounds, mean over 2 seeds" in notes[0]


def test_a_folder_whose_success_is_not_given_is_refused(folder, tmp_path, monkeypatch) -> None:
    folders = ("--alike", str(folder), "--specialists", str(folder), "--rivals", str(folder))
    with pytest.raises(SystemExit, match="SUCCESS=DIR"):
        run(monkeypatch, "results_figures.py", *folders, "--out", str(tmp_path))


def test_an_error_while_drawing_is_not_called_a_mistake_in_the_command(folder, tmp_path, monkeypatch) -> None:
    def fail(*given: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(plots, "title_and_note", fail)
    folders = ("--alike", f"0.001={folder}", "--specialists", str(folder), "--rivals", str(folder))
    with pytest.raises(ValueError, match="a bug"):
        run(monkeypatch, "results_figures.py", *folders, "--out", str(tmp_path))


def test_folders_without_a_finished_run_of_our_defaults_are_refused(folder, tmp_path, monkeypatch) -> None:
    folders = ("--alike", f"0.001={folder}", "--specialists", str(folder), "--rivals", str(folder))
    with pytest.raises(SystemExit, match="no folder has a finished run of 'theirs'"):
        run(monkeypatch, "results_figures.py", *folders, "--ours", "theirs", "--out", str(tmp_path))


def test_more_specialists_than_the_figure_has_colours_for_are_chosen_by_name(
    folder, tmp_path, monkeypatch
) -> None:
    folders = ("--alike", f"0.001={folder}", "--specialists", *[str(folder)] * 3)
    command = (*folders, "--rivals", str(folder), "--out", str(tmp_path))
    with pytest.raises(
        SystemExit, match=r"6 configurations.* room for 5; choose with --only among 4/0, ours"
    ):
        run(monkeypatch, "results_figures.py", *command)
    with pytest.raises(SystemExit, match="--only: no folder of --specialists has a finished run of theirs"):
        run(monkeypatch, "results_figures.py", *command, "--only", "ours", "theirs")
    lines: list[str] = []
    named = plots.name_at_end
    monkeypatch.setattr(
        plots, "name_at_end", lambda axes, line, colour: lines.append(line.label) or named(axes, line, colour)
    )
    run(monkeypatch, "results_figures.py", *command, "--only", "ours")
    assert lines.count("ours (2)") == 3 * 2, "one line of each folder in both halves"
    assert not any(name.startswith("4/0") for name in lines)


def test_a_folder_without_results_is_named(tmp_path, monkeypatch) -> None:
    with pytest.raises(SystemExit, match="has no results"):
        run(monkeypatch, "rivals_table.py", str(tmp_path))


def test_the_table_has_gains_and_what_was_forgotten(folder, monkeypatch, capsys) -> None:
    run(monkeypatch, "rivals_table.py", str(folder))
    alone, ours = (line.split(" | ") for line in capsys.readouterr().out.splitlines()[-3:-1])
    assert alone[1:5] == ["4/0", "2", "1.2 (0.8 to 1.6)", "–"]
    assert ours[0] == "| ours"
    assert ours[4].startswith("+100.0%"), "twice the reward in as many rounds"
    others_at_the_end, own_at_the_end = (0.2 + 0.5) / 2, (0.5 + 0.2) / 2
    own_at_the_start = (0.0 + 0.2) / 2
    expected = (others_at_the_end, own_at_the_end, own_at_the_start - own_at_the_end)
    assert [float(cell.split()[0]) for cell in ours[7:]] == pytest.approx(expected)

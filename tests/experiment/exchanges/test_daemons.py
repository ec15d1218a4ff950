"""The same file as a real swarm: two daemons on loopback, and what each wrote in its home."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from unittest.mock import AsyncMock

import pytest

from swarmd.cli.app import main
from swarmd.errors import SwarmdError
from swarmd.experiment.exchanges import daemons, local_swarm
from swarmd.experiment.exchanges.daemons import DaemonSwarms
from swarmd.experiment.exchanges.local_swarm import LOG_FILE
from swarmd.experiment.exchanges.node_homes import make_home
from swarmd.experiment.schedule import main_runs
from swarmd.experiment.seeding import node_key
from swarmd.storage import Home
from swarmd.tasks.episodes import Solution
from tests.daemon.fakes import KnownTasks
from tests.experiment.making import MANIFEST, Watched, make_config
from tests.experiment.test_run import of_kind, read

EXPERIMENT = """
name = "two daemons"
nodes = 2
rounds = 2
seeds = 1
held_out_questions = 4
exchange = "daemons"

[policy]
max_new_tokens = 16

[learning]
group_size = 4

[[configurations]]
local = 2
external = 1
"""


async def test_a_daemon_that_fails_ends_the_others_with_its_last_words(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_SEED", "7")  # this process's own settings are not the daemons'
    home = make_home(tmp_path / "node-0", node_key(0, 0), MANIFEST)
    home.config_path.write_text("stepps = 3\n")
    with pytest.raises(SwarmdError, match=r"node-0 failed: it ended with exit code 2: .*stepps.*resumes"):
        await local_swarm.live([local_swarm.Daemon(home, steps=2, done=0)], lambda steps, reward: None)
    assert "stepps" in (home.path / LOG_FILE).read_text()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Runs a few lines of Python instead of each daemon."""

    def use(text: str) -> None:
        command = [sys.executable, "-c", text]
        monkeypatch.setattr(local_swarm._LocalSwarm, "_command", lambda *_: command)

    return use


async def test_what_daemons_say_is_logged_and_tells_how_far_they_are(tmp_path, script, monkeypatch) -> None:
    monkeypatch.setenv("SWARMD_SEED", "7")
    script(
        "import json, os\nprint('SWARMD_SEED' in os.environ)\n"
        "for step in (1, 2): print(json.dumps({'event': 'step', 'step': step, 'reward': step / 4}))\n"
    )
    homes = [Home.open(tmp_path / f"node-{number}") for number in range(2)]
    seen: list[tuple[int, float | None]] = []
    await local_swarm.live(
        [local_swarm.Daemon(home, steps=2, done=0) for home in homes],
        lambda steps, reward: seen.append((steps, reward)),
    )
    assert len(seen) == 4
    assert seen[-1] == (2, 0.5)
    for home in homes:
        assert (home.path / LOG_FILE).read_text().splitlines()[0] == "False"


async def test_daemons_that_do_not_move_are_ended_with_how_far_they_are(
    tmp_path, script, monkeypatch
) -> None:
    monkeypatch.setattr(local_swarm, "LOOK_EVERY_S", 0.01)
    script("import sys\nsys.stdin.read()\n")
    home = Home.open(tmp_path / "node-0")
    with pytest.raises(SwarmdError, match=r"no daemon took a step for 0 s \(.*node-0: step 3\)"):
        await local_swarm.live([local_swarm.Daemon(home, 9, 3)], lambda steps, reward: None, stalled_s=0.05)


async def test_a_signal_ends_the_daemons_and_then_the_experiment(tmp_path, script) -> None:
    script("import os, signal\nos.kill(os.getppid(), signal.SIGTERM)\nimport sys\nsys.stdin.read()\n")
    home = Home.open(tmp_path / "node-0")
    with pytest.raises(KeyboardInterrupt):
        await local_swarm.live([local_swarm.Daemon(home, 9, 3)], lambda steps, reward: None)


async def test_nodes_are_examined_with_the_solved_examples_that_their_daemons_show(
    tiny_model_dir, tmp_path, monkeypatch
) -> None:
    config = make_config(tiny_model_dir)
    config = config.model_copy(update={"policy": config.policy.model_copy(update={"examples": 1})})
    tasks, shown = KnownTasks(), []
    monkeypatch.setattr(
        tasks, "solutions", AsyncMock(side_effect=lambda specs: [Solution(("4",), ())] * len(specs))
    )
    swarms = DaemonSwarms(config, MANIFEST, tmp_path, tasks, Watched())
    monkeypatch.setattr(swarms._exam, "line", AsyncMock(side_effect=lambda *at: shown.append(at[2].examples)))
    monkeypatch.setattr(swarms, "_live", AsyncMock())
    monkeypatch.setattr(swarms, "_trained", lambda run, node, home: swarms._policy(run, node))
    monkeypatch.setattr(daemons, "lines_of", lambda *_: [])
    [run] = main_runs(config, {"2/2": 1e-4})
    await swarms._finish(run)
    assert [[example.answer for example in each] for each in shown] == [["4"]] * 4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_daemons_take_their_steps_and_their_homes_become_the_runs_lines(tmp_path, capsys) -> None:
    file, out = tmp_path / "experiment.toml", tmp_path / "results"
    file.write_text(EXPERIMENT)
    for command in (["run", str(file), "--out", str(out)], ["report", str(out), "--no-plots"]):
        with pytest.raises(SystemExit) as ended:
            main(["experiment", *command])
        assert ended.value.code == 0, capsys.readouterr().err
    [(name, lines)] = read(out).items()
    nodes = of_kind(lines, "node")
    assert [(line["round"], line["node"]) for line in nodes] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for line in nodes:
        assert line["groups_generated"] == 2
        assert line["tokens_generated"] > 0
        assert line["seconds"]["step"] > 0
    assert [line["round"] for line in of_kind(lines, "held_out")] == [0, 0, 2, 2]
    logs = [path.read_text().splitlines() for path in out.glob(f"homes/{name}/node-*/{LOG_FILE}")]
    events = [[json.loads(line)["event"] for line in log if line.startswith("{")] for log in logs]
    assert len(events) == 2
    assert any("joined" in each for each in events)

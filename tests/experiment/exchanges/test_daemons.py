"""The same file as a real swarm: two daemons on loopback, and what each wrote in its home."""

from __future__ import annotations

import json

import pytest

from swarmd.cli.app import main
from swarmd.errors import SwarmdError
from swarmd.experiment.exchanges import local_swarm
from swarmd.experiment.exchanges.local_swarm import LOG_FILE
from swarmd.experiment.exchanges.node_homes import make_home
from swarmd.experiment.seeding import node_key
from tests.experiment.making import MANIFEST
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
    monkeypatch.setattr(local_swarm, "LOOK_EVERY_S", 0.1)
    home = make_home(tmp_path / "node-0", node_key(0, 0), MANIFEST)
    home.config_path.write_text("stepps = 3\n")
    with pytest.raises(SwarmdError, match=r"node-0 ended with exit code 2: .*stepps"):
        await local_swarm.live([local_swarm.Daemon(home, steps=2, done=0)], lambda steps, reward: None)


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

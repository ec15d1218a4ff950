"""One experiment over several ranks: the same groups as in one process, and who is missing is named."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError
from swarmd.experiment import ExperimentConfig
from swarmd.experiment.exchanges.distributed import Place, carrier_of, exchange_of, place_of
from tests.experiment.making import make_config, run
from tests.experiment.test_run import course, of_kind, read

RANKS = 2
RANK_S = 300  # far more than they take, even where the machine does other things
TORCHRUN = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}


@pytest.mark.timeout(RANK_S + 60)
async def test_ranks_play_what_one_process_plays_resume_together_and_name_who_died(
    tiny_model_dir, tmp_path
) -> None:
    config = make_config(tiny_model_dir, nodes=3, rounds=4, checkpoint_every=1)
    await run(config, tmp_path / "process")
    ranks = config.model_copy(update={"exchange": "distributed"})
    said = play_over_ranks(ranks, tmp_path / "ranks")
    [alone], [together] = (course(tmp_path / name).values() for name in ("process", "ranks"))
    assert together[1:] == alone[1:]
    assert len(of_kind(together, "node")) == 3 * 4
    [lines] = read(tmp_path / "ranks").values()
    assert [line["round"] for line in of_kind(lines, "resumed")] == [1]  # what both had saved
    assert not list(tmp_path.glob("ranks/runs/*/checkpoints*"))
    assert "what nobody else brings" in said
    assert "Ranks 1 failed" in said


class SecondOfTwo:
    """Rank 1, whose rank 0 decides to play and brings nothing else."""

    rank, ranks, device = 1, 2, None
    _decided: ClassVar = {"choice": b"true", "state": b"false", "reward": b"0.5"}

    def gather(self, what: str, parts: Sequence[bytes]) -> list[bytes]:
        decided = self._decided.get(what.split()[0])
        return list(parts) if decided is None else [decided, *parts]


async def test_only_the_rank_that_writes_the_end_removes_checkpoints(tiny_model_dir, tmp_path) -> None:
    directory = tmp_path / "runs/run-2_2-lr0.0001-seed0"
    directory.joinpath("checkpoints-0-of-2").mkdir(parents=True)
    await run(make_config(tiny_model_dir), tmp_path, exchange=SecondOfTwo())
    assert {path.name for path in directory.glob("checkpoints*")} == {
        "checkpoints-0-of-2",
        "checkpoints-1-of-2",
    }


def play_over_ranks(config: ExperimentConfig, folder: Path) -> str:
    """What rank 0 said."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.experiment.rank", config.model_dump_json(), str(folder)]
    place = {**TORCHRUN, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        outputs = [process.communicate(timeout=RANK_S)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0]
    return outputs[0]


def test_more_ranks_than_nodes_are_refused_by_the_key() -> None:
    assert place_of(TORCHRUN, nodes=2) == Place(0, 2, 0, 2)
    with pytest.raises(ConfigError, match="nodes: 2 ranks were started for 1 nodes"):
        place_of(TORCHRUN, nodes=1)


def test_without_torchrun_the_line_to_type_is_said(tiny_model_dir, monkeypatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with (
        pytest.raises(ConfigError, match=r"torchrun --nproc-per-node \w+ -m swarmd experiment run"),
        exchange_of(make_config(tiny_model_dir, exchange="distributed")),
    ):
        pass


def test_a_file_for_one_process_is_not_run_by_each_of_torchruns(tiny_model_dir, monkeypatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(ConfigError, match="--exchange distributed"), exchange_of(make_config(tiny_model_dir)):
        pass


def test_each_rank_has_the_gpu_of_its_number(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    third = Place(rank=6, ranks=8, local_rank=1, local_ranks=2)
    assert carrier_of(third, PolicyConfig()) == torch.device("cuda", 1)
    assert carrier_of(third, PolicyConfig(device="cpu")) == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"policy\.device.*'cuda:0'"):
        carrier_of(third, PolicyConfig(device="cuda:0"))
    with pytest.raises(ConfigError, match="4 ranks were started on a machine where PyTorch sees 2 GPUs"):
        carrier_of(Place(rank=0, ranks=4, local_rank=0, local_ranks=4), PolicyConfig())

"""Checkpoints: what was saved is loaded; a damaged one is reported and the one before it is used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from swarmd.errors import StorageError
from swarmd.storage import Checkpoint, Checkpoints
from swarmd.storage import checkpoints as module
from swarmd.storage.checkpoints import NothingWholeError

KEEP = 3


def save(checkpoints: Checkpoints, step: int) -> Path:
    """A small checkpoint in which every part tells its step."""
    return checkpoints.save(
        step,
        tensors={"weight": torch.full((2, 3), float(step)), "bias": torch.arange(4)},
        optimizer={"state": {0: {"step": torch.tensor(float(step))}}, "param_groups": [{"lr": 1e-3}]},
        state={"step": step, "rng": [1, 2, 3]},
    )


def load(directory: Path, problems: list[str] | None = None) -> Checkpoint | None:
    return Checkpoints(directory, KEEP).load_latest((problems if problems is not None else []).append)


def steps_on_disk(directory: Path) -> list[int]:
    return [int(path.name.split("-")[-1]) for path in sorted(directory.iterdir())]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = save(Checkpoints(tmp_path / "checkpoints", KEEP), 7)
    checkpoint = load(tmp_path / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.step == 7
    assert checkpoint.path == path
    assert torch.equal(checkpoint.tensors["weight"], torch.full((2, 3), 7.0))
    assert torch.equal(checkpoint.tensors["bias"], torch.arange(4))
    assert checkpoint.optimizer["state"][0]["step"] == 7
    assert checkpoint.optimizer["param_groups"] == [{"lr": 1e-3}]
    assert checkpoint.state == {"step": 7, "rng": [1, 2, 3]}


def test_a_real_optimiser_and_scheduler_come_back(tmp_path: Path) -> None:
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    layer(torch.ones(3)).sum().backward()
    optimizer.step()
    scheduler.step()
    both = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    Checkpoints(tmp_path, KEEP).save(1, tensors=layer.state_dict(), optimizer=both, state={})
    checkpoint = load(tmp_path)
    assert checkpoint is not None
    again = torch.optim.AdamW(layer.parameters())
    again.load_state_dict(checkpoint.optimizer["optimizer"])
    assert again.state_dict()["state"][0]["exp_avg"].equal(optimizer.state_dict()["state"][0]["exp_avg"])
    assert checkpoint.optimizer["scheduler"] == scheduler.state_dict()


def test_tensors_may_share_memory_be_strided_and_of_any_dtype(tmp_path: Path) -> None:
    table = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)
    tensors = {
        "embed": table,
        "head": table,
        "transposed": table.T,
        "part": table[1],
        "scalar": torch.tensor(3),
    }
    Checkpoints(tmp_path, KEEP).save(1, tensors=tensors, optimizer={}, state={})
    checkpoint = load(tmp_path)
    assert checkpoint is not None
    assert all(torch.equal(checkpoint.tensors[name], tensor) for name, tensor in tensors.items())
    assert checkpoint.tensors["embed"].dtype == torch.bfloat16


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert load(tmp_path) is None
    assert load(tmp_path / "nowhere") is None


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, KEEP)
    for step in (5, 10, 15, 20, 25):
        save(checkpoints, step)
    assert steps_on_disk(tmp_path) == [15, 20, 25]


def test_the_latest_is_the_one_saved_last_even_when_its_step_is_not_the_highest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, KEEP)
    for step in (30, 40, 31, 31):
        save(checkpoints, step)
    checkpoint = load(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 31
    assert steps_on_disk(tmp_path) == [40, 31, 31]


def cut(length: Callable[[int], int]) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, length(path.stat().st_size))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "empty": cut(lambda size: 0),
    "one byte": cut(lambda size: 1),
    "half": cut(lambda size: size // 2),
    "all but one byte": cut(lambda size: size - 1),
    "one byte more": append,
    "a flipped bit": flip,
}
FILES = ("weights.safetensors", "optimizer.pt", "state.json", "manifest.json")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    checkpoints = Checkpoints(tmp_path, KEEP)
    save(checkpoints, 10)
    latest = save(checkpoints, 20)
    damage(latest / name)
    problems: list[str] = []
    checkpoint = load(tmp_path, problems)
    assert checkpoint is not None
    assert checkpoint.step == 10
    [problem] = problems
    assert str(latest) in problem
    assert name in problem
    assert "falling back to the one before" in problem


def test_any_flipped_bit_of_a_manifest_is_found(tmp_path: Path) -> None:
    manifest = save(Checkpoints(tmp_path, KEEP), 20) / "manifest.json"
    intact = manifest.read_bytes()
    for position in range(len(intact)):
        damaged = bytearray(intact)
        damaged[position] ^= 1 << position % 8
        manifest.write_bytes(damaged)
        with pytest.raises(NothingWholeError, match=r"manifest\.json"):
            load(tmp_path)


def test_several_damaged_ones_are_all_skipped(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, KEEP)
    paths = [save(checkpoints, step) for step in (10, 20, 30)]
    flip(paths[2] / "optimizer.pt")
    (paths[1] / "manifest.json").unlink()
    problems: list[str] = []
    checkpoint = load(tmp_path, problems)
    assert checkpoint is not None
    assert checkpoint.step == 10
    assert len(problems) == 2
    flip(paths[0] / "state.json")
    with pytest.raises(NothingWholeError, match="none of the checkpoints in") as raised:
        load(tmp_path)
    assert [damage.step for damage in raised.value.damaged] == [30, 20, 10]


def test_one_that_a_running_daemon_prunes_meanwhile_leads_to_its_newer_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Checkpoints(tmp_path, 2), 10)
    real, overtaken = module.load_checkpoint, False

    def slow(path: Path) -> Checkpoint:
        nonlocal overtaken
        if not overtaken:
            overtaken = True
            for step in (20, 30, 40):
                save(Checkpoints(tmp_path, 2), step)
        return real(path)

    monkeypatch.setattr(module, "load_checkpoint", slow)
    problems: list[str] = []
    checkpoint = load(tmp_path, problems)
    assert checkpoint is not None
    assert checkpoint.step == 40
    assert problems == []


def test_the_newest_up_to_a_given_step_can_be_asked_for(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, KEEP)
    for step in (10, 20, 30):
        save(checkpoints, step)
    found = [checkpoints.load_latest(at_most=most) for most in (30, 29, 9)]
    assert [checkpoint and checkpoint.step for checkpoint in found] == [30, 20, None]


def test_damaged_ones_are_set_aside_and_neither_counted_nor_deleted(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 2)
    save(checkpoints, 10)
    flip(save(checkpoints, 20) / "weights.safetensors")
    assert checkpoints.load_latest(lambda problem: None) is not None
    assert steps_on_disk(tmp_path) == [10, 20]  # loading changes nothing
    for step in range(11, 15):
        save(checkpoints, step)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["00000005-step-13", "00000006-step-14", "damaged-00000002-step-20"]
    assert checkpoints.aside() == [tmp_path / "damaged-00000002-step-20"]


def test_a_newer_format_is_refused_rather_than_skipped(tmp_path: Path) -> None:
    manifest = save(Checkpoints(tmp_path, KEEP), 20) / "manifest.json"
    sealed = json.loads(manifest.read_text())
    sealed["manifest"]["format"] = 2
    from swarmd.storage.checkpoint_files import _seal  # the only way to write what a future version writes

    manifest.write_text(json.dumps({"manifest": sealed["manifest"], "sha256": _seal(sealed["manifest"])}))
    with pytest.raises(StorageError, match="format 2 and this swarmd reads 1: use the version that wrote it"):
        load(tmp_path)


def test_other_files_and_leftovers_of_a_killed_save_are_not_checkpoints(tmp_path: Path) -> None:
    (tmp_path / ".00000001-step-10").mkdir()
    (tmp_path / ".00000001-step-10" / "weights.safetensors").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("somebody's")
    (tmp_path / "00000009-step-9").write_text("a file")
    assert load(tmp_path) is None
    save(Checkpoints(tmp_path, KEEP), 10)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"notes.txt", "00000009-step-9", "00000001-step-10"}


@pytest.mark.parametrize("value", [{1, 2}, object(), torch.nn.Linear(1, 1), Path("x")], ids=type)
def test_an_optimiser_state_that_could_not_be_loaded_is_refused_when_it_is_saved(
    tmp_path: Path, value: object
) -> None:
    with pytest.raises(TypeError, match="an optimizer state holds tensors and plain values"):
        Checkpoints(tmp_path, KEEP).save(1, tensors={}, optimizer={"groups": [value]}, state={})
    assert list(tmp_path.iterdir()) == []


def run(script: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, str(directory)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
from swarmd.errors import StorageError
from swarmd.storage import Checkpoints

checkpoints = Checkpoints(Path(sys.argv[1]), 3)
small = {"tensors": {"w": torch.ones(2)}, "optimizer": {"m": torch.ones(2)}, "state": {"n": 1}}
many = torch.ones(100_000)
big = {"tensors": {"w": many}, "optimizer": {"m": many}, "state": {"n": "1" * 400_000}}
checkpoints.save(1, **small)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for part in small:
    try:
        checkpoints.save(2, **(small | {part: big[part]}))
    except StorageError as error:
        print(error)
checkpoints.save(3, **small)
"""


def test_a_disk_that_refuses_costs_the_new_checkpoint_only(tmp_path: Path) -> None:
    """The kernel really refuses: a limit on the size of files, once for each of the three files."""
    messages = run(FULL_DISK, tmp_path).splitlines()
    assert len(messages) == 3
    for message in messages:
        assert "00000002-step-2 (earlier ones are intact): file too large" in message
        assert "raise it" in message
    assert steps_on_disk(tmp_path) == [1, 3]
    checkpoint = load(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 3


def test_a_full_disk_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, KEEP)
    save(checkpoints, 1)

    def full(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left on device; free some space on that disk"):
        save(checkpoints, 2)
    monkeypatch.undo()
    assert steps_on_disk(tmp_path) == [1]


KILLS = """
import os, signal, sys
from pathlib import Path
import torch
from swarmd.storage import Checkpoints

KEEP = 2
TOUCHING = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir"}

def save(step):
    tensors, optimizer = {"w": torch.full((3,), float(step))}, {"m": torch.ones(2)}
    state = {"step": step}
    Checkpoints(Path(sys.argv[1]), KEEP).save(step, tensors=tensors, optimizer=optimizer, state=state)

def save_and_die_before_event(step, number):
    child = os.fork()
    if child == 0:
        def count(event, arguments):
            nonlocal number
            if event in TOUCHING:
                number -= 1
                if number < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        save(step)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

for step in (1, 2, 3):
    save(step)
last, number = 3, 0
while (code := save_and_die_before_event(last + 1, number)) == -signal.SIGKILL:
    problems = []
    found = Checkpoints(Path(sys.argv[1]), KEEP).load_latest(problems.append)
    assert problems == [], problems
    assert found.step in (last, last + 1), (found.step, last)
    assert found.state == {"step": found.step}
    assert found.tensors["w"].tolist() == [float(found.step)] * 3
    last, number = found.step, number + 1
assert code == 0, code
print(number)
"""


def test_a_save_killed_at_any_moment_leaves_a_latest_checkpoint_that_is_whole(tmp_path: Path) -> None:
    """kill -9 before each single file system operation of a save, one after the other."""
    kills = int(run(KILLS, tmp_path))
    assert kills > 20
    assert len(steps_on_disk(tmp_path)) == 2

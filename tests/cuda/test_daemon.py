"""`swarmd join` on a GPU, as a user starts it."""

import json
import subprocess
import sys

TIMEOUT_S = 240


def swarmd(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "swarmd", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_a_peer_on_the_gpu_trains_saves_and_resumes(tmp_path):
    home = tmp_path / "home"
    first = swarmd(
        "join", "--home", home, "--device", "cuda", "--steps", 3, "--evaluate-every", 0, "--no-lan"
    )
    assert first.returncode == 0, first.stderr[-2000:]
    second = swarmd("join", "--home", home, "--steps", 5, "--evaluate-every", 0, "--no-lan")
    assert second.returncode == 0, second.stderr[-2000:]
    steps = [json.loads(line) for line in (home / "steps.jsonl").read_text().splitlines()]
    assert len(steps) >= 5


def test_devices_all_finds_the_gpu(tmp_path):
    found = swarmd(
        "join",
        "--home",
        tmp_path / "home",
        "--devices",
        "all",
        "--steps",
        2,
        "--evaluate-every",
        0,
        "--no-lan",
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert (tmp_path / "home" / "devices" / "cuda-0").is_dir()

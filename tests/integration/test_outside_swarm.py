"""Two daemons whose task is a game of textarena: each plays the other's moves again, and learns from them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from swarmd.model import load_model, locate
from swarmd.tasks import Exchange, TaskRunner, prompt_messages, task_spec
from swarmd.tasks.manifest import load_manifest
from swarmd.tasks.versions import outside_versions
from tests.integration.daemon_process import DaemonProcess
from tests.integration.test_daemon_swarm import assert_no_exception, has_exchanged, stop_all, wait_until
from tests.tasks.outside import fake_textarena

START_S = 600.0

SWARM = """
name = "a number to guess"
genesis = 2026-01-01T00:00:00Z
round_seconds = 15
reward = "partial"
max_new_tokens = 16
records_per_round_max = 64

[[tasks]]
source = "textarena"
dataset = "{game}"
[tasks.config]
turns = 2
{options}
"""


def teach_to_guess(manifest: Path, out: Path) -> None:
    """A copy of the embedded model that writes any number from 1 to 3 in either turn of the game.

    As it is, it has never seen such a question, and its texts have no answer: no group would teach anything.
    """
    torch.manual_seed(0)
    model, tokenizer = load_model(locate("embedded"), torch.float32)
    rules = load_manifest(str(manifest))

    async def asked() -> str:
        async with TaskRunner(reward=rules.reward) as runner:
            [question] = await runner.questions([task_spec(rules.tasks[0], 0)])
        return question.text

    text = asyncio.run(asked())
    guesses = [f"<answer>{number}</answer>" for number in (1, 2, 3)]
    told = [(), *([Exchange(guess, "The target number is higher.")] for guess in guesses)]
    rows = [
        (
            tokenizer.prompt(prompt_messages(text, (), exchanges)),
            list(tokenizer.encode_completion(guess, True, 32)),
        )
        for exchanges in told
        for guess in guesses
    ]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(90):
        prompt, guess = rows[step % len(rows)]
        logits = model(input_ids=torch.tensor([prompt + guess])).logits[0, len(prompt) - 1 : -1]
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(logits, torch.tensor(guess)).backward()
        optimiser.step()
    model.save_pretrained(out)
    tokenizer.hf.save_pretrained(out)


@pytest.mark.daemon
@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("is_real", [False, True])
def test_two_daemons_play_one_anothers_games_again_and_use_their_groups(
    is_real: bool, join: Callable[..., DaemonProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_real and "textarena" not in outside_versions():
        pytest.skip("textarena is not installed")
    game, options = "GuessTheNumber-v0", "max_number = 3"
    if not is_real:
        game, options = "Guess-v0", "largest = 9"
        packages = tmp_path / "site-packages"
        fake_textarena.install(packages)
        inherited = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
        monkeypatch.setenv("PYTHONPATH", ":".join([str(packages), *inherited]))
    (tmp_path / "games.toml").write_text(SWARM.format(game=game, options=options))
    swarm = ["--swarm", str(tmp_path / "games.toml")]
    if is_real:
        teach_to_guess(tmp_path / "games.toml", tmp_path / "guesser")
        swarm += ["--model", str(tmp_path / "guesser")]
    first = join("first", *swarm)
    first.wait_for("join_command", timeout_s=START_S)
    second = join("second", *swarm, "--peer", first.address)
    for status in wait_until([first, second], has_exchanged, 600):
        assert status.swarm == "a number to guess"
        assert not {"question", "signature", "task", "version", "scorer"} & status.groups.rejected.keys()
    stop_all([first, second])
    assert_no_exception([first, second])

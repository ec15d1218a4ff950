"""What stands in for the modules that an environment may not use, and for the event loop."""

from __future__ import annotations

import asyncio
import sys

import pytest

from swarmd.errors import ConfigError
from swarmd.tasks import load_manifest
from swarmd.tasks.outside.absent import NeedsError, absent
from swarmd.tasks.outside.still_loop import run_still
from swarmd.tasks.source import UnknownSourceError


def test_an_absent_module_can_be_imported_and_inherited_but_not_used():
    with absent({"colorsys": "colours"}):
        import colorsys
        from colorsys.deep import Thing

        class Mine(Thing):
            pass

        for use in (colorsys.rgb_to_hsv, colorsys.client.chat.create, Mine):
            with pytest.raises(NeedsError, match="colours"):
                use()
    import colorsys as real

    assert real.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
    assert "colorsys.deep" not in sys.modules


def test_time_goes_by_at_once_and_only_as_far_as_timers_ask():
    async def slow() -> tuple[float, list[int]]:
        both = await asyncio.gather(asyncio.sleep(86_400, 1), asyncio.sleep(5, 2))
        return asyncio.get_running_loop().time(), both

    assert run_still(slow()) == (86_400.0, [1, 2])


def test_waiting_for_something_outside_is_refused():
    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NeedsError, match="something outside"):
        run_still(stuck())


@pytest.mark.parametrize("source", ["textarena", "verifiers"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(source):
    assert f"pip install 'swarmd[{source}]'" in str(UnknownSourceError.named(source, ()))


def test_a_manifest_with_a_task_of_a_missing_extra_says_how_to_get_it(tmp_path):
    import swarmd.tasks.versions as versions

    if "textarena" in versions.outside_versions():
        pytest.skip("textarena is installed")
    path = tmp_path / "swarm.toml"
    path.write_text(
        'name = "games"\ngenesis = 2026-01-01T00:00:00Z\nround_seconds = 15\nreward = "exact"\n'
        "max_new_tokens = 16\nrecords_per_round_max = 64\n[[tasks]]\n"
        'source = "textarena"\ndataset = "Wordle-v0"\n'
    )
    with pytest.raises(
        ConfigError, match=r"line 8, tasks\.0\.source: textarena is not installed: pip install"
    ):
        load_manifest(str(path))

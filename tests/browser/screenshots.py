"""Takes the screenshots in docs/images of a made-up peer that has lived for days.

python -m tests.browser.screenshots docs/images        needs Chromium, playwright and Pillow
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import async_playwright

from swarmd.observe import Health, Sources, StatusServer
from tests.browser.conftest import ARGUMENTS, NAMES
from tests.observe.full_peer import full_events, full_records, full_status

COLOURS = 128  # of a picture: text and curves need no more, and a file takes a third


@dataclass(frozen=True)
class Shot:
    name: str
    width: int
    height: int
    scheme: str
    section: str = ""


SHOTS = (
    Shot("page", 1000, 1290, "light"),
    Shot("page-dark", 1600, 1000, "dark"),
    Shot("page-narrow", 390, 844, "light"),
    Shot("page-rollouts", 1000, 900, "light", "rollouts"),
)


class Full:
    """Stands for a snapshot: its JSON may hold more than this version's snapshot does."""

    health = Health(ok=True)

    def model_dump_json(self) -> str:
        return json.dumps(full_status())


async def take(folder: Path) -> None:
    """Write one PNG for each of SHOTS."""
    with tempfile.TemporaryDirectory() as home:
        sources = Sources(records=full_records, events_since=full_events)
        server = StatusServer(Full, Path(home) / "s", "127.0.0.1:0", sources=sources)  # type: ignore[arg-type]
        server.bind()
        async with asyncio.TaskGroup() as group, async_playwright() as driver:
            group.create_task(server.serve())
            binary = next(filter(None, map(shutil.which, NAMES)))
            browser = await driver.chromium.launch(executable_path=binary, args=ARGUMENTS)
            for shot in SHOTS:
                await _shoot(browser, f"{server.base_url}/", shot, folder)
            await browser.close()
            server.stop()


async def _shoot(browser: Any, url: str, shot: Shot, folder: Path) -> None:
    page = await browser.new_page(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme=shot.scheme,
        reduced_motion="reduce",
    )
    await page.goto(url)
    await page.locator(".plot canvas").first.wait_for()
    await page.locator("#rollout-list details").first.wait_for()
    if shot.section:
        await page.locator("#tab-others").click()
        await page.locator("#rollout-list summary", has_text="letter_counting").first.click()
        await page.evaluate(f"document.getElementById('{shot.section}').scrollIntoView()")
    picture = Image.open(BytesIO(await page.screenshot()))
    picture.convert("RGB").quantize(COLOURS).save(folder / f"{shot.name}.png", optimize=True)
    await page.close()


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1])))

"""`swarmd experiment report`: the tables and plots of a results folder, written into it."""

from __future__ import annotations

import json
from pathlib import Path

from swarmd.experiment.reporting.drawing import FORMATS
from swarmd.experiment.reporting.page import to_markdown
from swarmd.experiment.reporting.plots import draw_plots
from swarmd.experiment.reporting.results import read_results
from swarmd.experiment.reporting.tables import make_tables
from swarmd.storage.durable import disk_error

JSON_FILE, MARKDOWN_FILE = "report.json", "report.md"


def write_report(folder: Path, *, with_plots: bool = True) -> list[Path]:
    """Write report.json, report.md and the plots; returns their paths.

    Raises ConfigError for a folder without finished runs or plots without matplotlib, StorageError.
    """
    results = read_results(folder)
    tables = make_tables(results)
    try:
        plots = draw_plots(results, folder) if with_plots else []
        (folder / JSON_FILE).write_text(json.dumps(tables, indent=1, allow_nan=False), encoding="utf-8")
        (folder / MARKDOWN_FILE).write_text(to_markdown(tables, plots), encoding="utf-8")
    except OSError as error:
        raise disk_error(f"write the report into {folder}", error) from error
    drawn = [folder / f"{name}.{ending}" for name in plots for ending in FORMATS]
    return [folder / JSON_FILE, folder / MARKDOWN_FILE, *drawn]

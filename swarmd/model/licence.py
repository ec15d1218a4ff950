"""Finds the licence of a published model, as given in its card."""

from __future__ import annotations

from pathlib import Path

import yaml  # type: ignore[import-untyped]  # a dependency of huggingface_hub
from huggingface_hub import HfApi, metadata_load
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from swarmd.model.hub import HUB_TIMEOUT_S, HTTPError
from swarmd.model_names import SMOLLM2
from swarmd.user_paths import path_of

CARD = "README.md"
OURS = {"embedded": "apache-2.0", "embedded-visual": "apache-2.0", SMOLLM2: "apache-2.0"}
"""Licences of the models that come with a package."""


def licence_of(model: str) -> str | None:
    """The licence identifier in the model's card, such as "apache-2.0". None if it has none, or if the card
    is missing or cannot be fetched."""
    if model in OURS:
        return OURS[model]
    folder = path_of(model)
    found = _in_folder(folder / CARD) if folder.is_dir() else _on_hub(model)
    return found if isinstance(found, str) else None


def _in_folder(card: Path) -> object:
    try:
        found = metadata_load(card) if card.is_file() else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return (found or {}).get("license")


def _on_hub(model: str) -> object:
    try:
        card = HfApi().model_info(model, timeout=HUB_TIMEOUT_S).card_data
    except (HTTPError, HfHubHTTPError, OfflineModeIsEnabled, ValueError):  # ValueError: not a hub id
        return None
    return None if card is None else card.get("license")

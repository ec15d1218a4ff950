"""Puts an exported folder on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, get_token

from swarmd.errors import ConfigError, ModelError
from swarmd.model.hub import HTTPError
from swarmd.model_names import HUB_ID

FAILURES = (OSError, HTTPError, ValueError, KeyError, RuntimeError)
"""What the library and its stores for large files raise: for the disk, the network and a refusal; for an
answer that is none, or lacks something; and around whatever else stopped a large file."""
TOLD_CHARS_MAX = 300  # of the hub's own words


def require_access(repository: str) -> None:
    """Raises ConfigError if `repository` cannot be a name on the hub, or if nobody is logged in."""
    if not HUB_ID.fullmatch(repository):
        raise ConfigError(f"--push-to-hub {repository}: that is no name on the hub: write it as OWNER/NAME")
    if get_token() is None:
        raise ConfigError(
            "--push-to-hub needs a token of the hub with the right to write: run `hf auth login`, or set "
            "HF_TOKEN"
        )


def publish(folder: Path, repository: str, *, private: bool, message: str) -> str:
    """Upload `folder` as one commit to the model `repository`, which is made if it is not there; returns its
    address. `private` concerns a new one only. Raises ModelError; nothing on this disk changes."""
    api = HfApi()
    try:
        made = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message=message)
    except FAILURES as error:
        raise ModelError(
            f"the hub did not take {repository} ({_said(error)}). The model in {folder} is whole: check the "
            f"token's rights and the connection, then `hf upload {repository} {folder}`"
        ) from error
    return str(made)


def _said(error: BaseException) -> str:
    """The error in its own words, on one line. A RuntimeError only names the file: its cause says why."""
    causes = [error, error.__cause__] if isinstance(error, RuntimeError) and error.__cause__ else [error]
    said = ": ".join(" ".join(str(each).split()) or type(each).__name__ for each in causes)
    return said[:TOLD_CHARS_MAX]

"""Uploads an exported folder to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, get_token

from swarmd.errors import ConfigError, ModelError
from swarmd.model.hub import HTTPError, said
from swarmd.model_names import HUB_ID

FAILURES = (OSError, HTTPError, ValueError, KeyError, RuntimeError)
"""Errors raised by the library and its storage for large files: for the disk, the network and refusals, for
missing or incomplete replies, and for anything else that interrupted a large file."""


def require_access(repository: str) -> None:
    """Raise ConfigError if `repository` is not a valid name on the hub, or if the operator is not logged
    in."""
    if not HUB_ID.fullmatch(repository):
        raise ConfigError(f"--push-to-hub {repository}: not a name on the hub: write it as OWNER/NAME")
    if get_token() is None:
        raise ConfigError(
            "--push-to-hub needs a hub token with write access: run `hf auth login`, or set HF_TOKEN"
        )


def publish(folder: Path, repository: str, *, private: bool, message: str) -> str:
    """Upload `folder` as one commit to the model `repository`, creating it if necessary. Returns its URL.
    `private` applies only to a new repository. Raises ModelError. Nothing on this disk changes."""
    api = HfApi()
    try:
        made = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message=message)
    except FAILURES as error:
        raise ModelError(
            f"the hub did not accept {repository} ({_said(error)}). The model in {folder} is complete: check "
            f"the token's permissions and the connection, then run `hf upload {repository} {folder}`"
        ) from error
    return str(made)


def _said(error: BaseException) -> str:
    """The error's own message on one line. A RuntimeError only names the file, so its cause is included."""
    causes = [error, error.__cause__] if isinstance(error, RuntimeError) and error.__cause__ else [error]
    return ": ".join(map(said, causes))

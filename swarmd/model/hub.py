"""Gets a model's files from the Hugging Face hub, or from its cache on this disk if the hub is unreachable.

An unreachable hub fails within seconds. `snapshot_download` alone has no timeout for its first request.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from swarmd.errors import ModelError
from swarmd.model.download import Watch, bar_for

try:  # huggingface_hub 2 uses httpx2, huggingface_hub 1 uses httpx
    from httpx2 import HTTPError as HTTPError  # for the other files of this room too
except ModuleNotFoundError:
    from httpx import HTTPError as HTTPError  # type: ignore[assignment]

HUB_TIMEOUT_S = 10.0  # one small request; a slower hub counts as unreachable
TOLD_CHARS_MAX = 300  # of the hub's own message
CONFIGURATION = "config.json"
WEIGHTS = "*.safetensors"
FILES = (
    WEIGHTS,
    "*.json",
    "*.jinja",
    "*.txt",
    "*.model",
)  # weights, configuration, tokenizer; no code
SUBFOLDERS = "*/*"  # other formats and earlier checkpoints, which are never loaded; `*` also matches a slash
COPIES = "consolidated*.safetensors"
OFFLINE_REMEDY = "check the connection, give a local directory with --model ./dir, or use --model embedded"


def fetch_snapshot(
    model: str, files: tuple[str, ...] = FILES, watch: Watch | None = None, revision: str | None = None
) -> Path:
    """The directory with `files` of the hub model `model` ("owner/name"), at `revision` or else its newest.
    Raises ModelError.

    Without `watch`, huggingface_hub draws its own progress bars on stderr.
    """
    why_offline, names = _listed(model, revision)
    # Without the hub, huggingface_hub only compares what is here with what is wanted.
    copies = [COPIES] if why_offline is not None else copied_weights(names)
    try:
        folder = Path(
            snapshot_download(
                model,
                revision=revision,
                allow_patterns=list(files),
                ignore_patterns=[SUBFOLDERS, *copies],
                etag_timeout=HUB_TIMEOUT_S,
                local_files_only=why_offline is not None,
                tqdm_class=None if watch is None else bar_for(model, watch),
            )
        )
    except LocalEntryNotFoundError as error:
        raise _no_copy(model, why_offline or said(error)) from error
    except GatedRepoError as error:  # the hub tells strangers about a model, and refuses its files
        raise _gated(model) from error
    except (HTTPError, HfHubHTTPError, OSError) as error:
        raise ModelError(f"downloading {model} failed: {said(error)}: {OFFLINE_REMEDY}") from error
    finally:
        if watch is not None:
            watch(None)
    if why_offline is not None and WEIGHTS in files and not any(folder.glob(WEIGHTS)):
        raise _no_copy(model, why_offline)  # the download was cut before them
    return folder


def copied_weights(names: Iterable[str]) -> list[str]:
    """Those of one folder's files that repeat the weights of others, in the format of Mistral's programs."""
    weights = fnmatch.filter(names, WEIGHTS)
    copies = fnmatch.filter(weights, COPIES)
    return copies if len(copies) < len(weights) else []


def said(error: BaseException) -> str:
    """The error's own message on one line, or its type if there is none."""
    return " ".join(str(error).split())[:TOLD_CHARS_MAX] or type(error).__name__


def _gated(model: str) -> ModelError:
    return ModelError(
        f"{model} is gated: accept its terms on the hub and run `hf auth login`, or use another model"
    )


def _no_copy(model: str, why: str) -> ModelError:
    return ModelError(
        f"the hub cannot be reached for {model} ({why}), and this disk has no copy: {OFFLINE_REMEDY}"
    )


def _listed(model: str, revision: str | None) -> tuple[str | None, list[str]]:
    """Why the hub cannot be reached for `model` now, None if it replied; and the model's files outside
    subfolders. Raises ModelError if it refuses."""
    try:
        info = HfApi().model_info(model, revision=revision, timeout=HUB_TIMEOUT_S)
    except GatedRepoError as error:
        raise _gated(model) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"the hub has no revision {revision} of {model}") from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"the hub has no model {model} (or it is private), nor is it a directory: check the spelling"
        ) from error
    except HFValidationError as error:
        raise ModelError(f"{model} is neither a directory nor the name of a hub model: {error}") from error
    except (HTTPError, HfHubHTTPError, OfflineModeIsEnabled) as error:
        return str(error).partition("\n")[0] or type(error).__name__, []
    names = (file.rfilename for file in info.siblings or ())
    return None, [name for name in names if "/" not in name]

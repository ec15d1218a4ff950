"""A folder that appears under its name whole or not at all, and never replaces anything."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swarmd.errors import ConfigError

FOLDER_MODE = 0o755  # a temporary folder is private to its owner, and this one is meant to be shared
FILE_MODE = 0o644


def require_free(folder: Path) -> None:
    """Raise ConfigError if `folder` is a file, is not empty, is the working directory, or cannot be made."""
    here = False
    try:
        if not folder.is_dir():
            taken = folder.exists() or folder.is_symlink()
        else:
            taken = next(folder.iterdir(), None) is not None
            here = folder.samefile(".")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}; name another directory") from error
    if taken:
        kind = "is not empty" if folder.is_dir() else "is a file"
        raise ConfigError(f"{folder} {kind}, and nothing is overwritten: name a new or empty directory")
    if here:
        raise ConfigError(
            f"{folder} is the working directory, which the new one would replace under this shell: "
            "name a new directory in it, such as ./model"
        )
    nearest = next(parent for parent in folder.parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder} cannot be made: this user may not write in {nearest}; name another")


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a new directory next to `folder` to write into. It is renamed to `folder` if the block ends
    without an error, and removed otherwise.

    Raises ConfigError if `folder` is not empty, before or after the block; StorageError; and whatever the
    block raises, with disk errors as StorageError.
    """
    from safetensors import SafetensorError

    from swarmd.storage.checkpoint_files import os_error_in
    from swarmd.storage.durable import disk_error, flush_to_disk

    require_free(folder)
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        yield temporary
        for path in sorted(temporary.rglob("*"), reverse=True):  # what is in a directory, then the directory
            path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
            flush_to_disk(path)
        flush_to_disk(temporary)
        temporary.chmod(FOLDER_MODE)
        require_free(folder)
        temporary.rename(folder)  # this can replace an empty directory, but nothing else
        flush_to_disk(folder.parent)
    except SafetensorError as error:
        cause = os_error_in(error)
        if cause is None:
            raise
        raise disk_error(f"write {folder}", cause, "another directory") from error
    except OSError as error:
        raise disk_error(f"write {folder}", error, "another directory") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)

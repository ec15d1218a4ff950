"""The page's token as a setting: the token itself, or @FILE, so that no list of processes shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, StringConstraints

FILE_BYTES_MAX = 4_096  # a token has 128 characters at most; whatever is longer is another file


def _read(given: object) -> object:
    """The content of @FILE; anything else as it is. Raises ValueError, which does not quote the file."""
    if not (isinstance(given, str) and given.startswith("@")):
        return given
    path = Path(given[1:]).expanduser()
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX)
        return content.decode("ascii").strip()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): name a file that holds the token") from error
    except UnicodeDecodeError:
        raise ValueError(f"{path} holds no token: it is not plain text") from None


PageToken = Annotated[str, BeforeValidator(_read), StringConstraints(pattern=r"^[A-Za-z0-9_.~-]{16,128}$")]

"""The page's token as a setting: the token itself, or @FILE, which keeps it out of the list of processes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

TOKEN = re.compile(r"[A-Za-z0-9_.~-]{16,128}")
FILE_BYTES_MAX = 4_096  # a token has at most 128 characters; a longer file is not a token file


def _read(given: object) -> str:
    """Return the content of @FILE; any other text unchanged. Raises ValueError, which quotes neither."""
    if not isinstance(given, str):
        raise ValueError("a token is text: write it in quotes")  # noqa: TRY004  pydantic expects a ValueError
    if not given.startswith("@"):
        return given
    path = Path(given[1:])
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(FILE_BYTES_MAX)
        return content.decode("ascii").strip()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{path} cannot be read ({reason}): name a file that contains the token") from error
    except UnicodeDecodeError:
        raise ValueError(f"{path} holds no token: it is not plain text") from None


def _checked(token: str) -> str:
    """Return the token if it is valid. Raises ValueError, which does not quote it."""
    if TOKEN.fullmatch(token) is None:
        raise ValueError(
            "a token has 16 to 128 letters, digits or characters of _ . ~ -: leave it out to have one made"
        )
    return token


PageToken = Annotated[str, BeforeValidator(_read), AfterValidator(_checked)]

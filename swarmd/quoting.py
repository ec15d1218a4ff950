"""Text from outside, quoted in an error: enough of it to recognise.

Somebody may have pasted a whole file into a flag, and a peer or a server may send anything.
"""

from __future__ import annotations

QUOTED_CHARS_MAX = 100  # about a line of a terminal
PATH_CHARS_MAX = 200  # of a path or a URL: most are shown whole, with the name of the file at the end


def quoted(text: str, most: int = QUOTED_CHARS_MAX) -> str:
    """Return at most `most` characters of `text` in quotes, on one line. An ellipsis shows a cut."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}…"


def shortened(text: str, most: int = QUOTED_CHARS_MAX) -> str:
    """Return at most `most` characters of `text` as it is. An ellipsis shows a cut."""
    return text if len(text) <= most else f"{text[:most]}…"

"""Text from strangers, made safe for a terminal, where an escape sequence could move the cursor."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return one line without control, format and bidirectional characters, shown escaped, like \x1b."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)

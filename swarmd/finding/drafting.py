"""The text of a new swarm's manifest: a copy of another one with a new name, starting now."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from itertools import dropwhile

from swarmd.errors import ConfigError
from swarmd.finding.naming import look_at_swarm
from swarmd.tasks.signed import without_signature

_NAME = re.compile(r"^name\s*=.*$", re.MULTILINE)
_GENESIS = re.compile(r"^genesis\s*=.*$", re.MULTILINE)


def draft(like: str, name: str, genesis: int) -> str:
    """Return the text. `like`: any name of a swarm. Its leading comments are omitted, because they describe
    that swarm.

    `genesis`: Unix seconds. Raises ConfigError if it cannot be read, or has no `name` or `genesis` line.
    """
    text = without_signature(like, look_at_swarm(like).text)
    plain = "\n".join(dropwhile(_is_comment, text.splitlines())).strip() + "\n"
    begins = datetime.fromtimestamp(genesis, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for pattern, line in (
        (_NAME, f"name = {json.dumps(name, ensure_ascii=False)}"),
        (_GENESIS, f"genesis = {begins}"),
    ):
        if pattern.search(plain) is None:
            raise ConfigError(f"{like} has no line {line.split()[0]} = ...: name another swarm with --like")
        plain = pattern.sub(lambda _, line=line: line, plain, count=1)  # type: ignore[misc]
    return plain


def _is_comment(line: str) -> bool:
    """Whether a line above the first key is a comment. Further down, such a line can be part of a text."""
    return not line.strip() or line.lstrip().startswith("#")

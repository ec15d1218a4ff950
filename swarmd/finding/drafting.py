"""The text of a new swarm's manifest: that of another one under a new name, beginning now."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from swarmd.errors import ConfigError
from swarmd.finding.naming import look_at_swarm

_NAME = re.compile(r"^name\s*=.*$", re.MULTILINE)
_GENESIS = re.compile(r"^genesis\s*=.*$", re.MULTILINE)


def draft(like: str, name: str, genesis: int) -> str:
    """`like`: any swarm that can be named; its comments are left out, because they speak of that one.

    `genesis`: Unix seconds. Raises ConfigError for what cannot be read or has no `name` and `genesis` line.
    """
    text = look_at_swarm(like).unsigned()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    plain = "\n".join(lines).strip() + "\n"
    begins = datetime.fromtimestamp(genesis, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for pattern, line in (
        (_NAME, f"name = {json.dumps(name, ensure_ascii=False)}"),
        (_GENESIS, f"genesis = {begins}"),
    ):
        if pattern.search(plain) is None:
            raise ConfigError(f"{like} has no line {line.split()[0]} = ...: name another swarm with --like")
        plain = pattern.sub(lambda _, line=line: line, plain, count=1)  # type: ignore[misc]
    return plain

"""The command `swarmd`, and `python -m swarmd`: chooses what to load before anything heavy is imported."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run one command and exit."""
    match sys.argv[1:]:
        case ["health", *arguments]:
            from swarmd import health

            code = health.main(arguments)
            if code is not None:
                sys.exit(code)
    from swarmd.cli import app

    app.main()


if __name__ == "__main__":
    main()

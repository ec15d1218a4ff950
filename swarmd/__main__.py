"""The command `swarmd`, and `python -m swarmd`: chooses what to load before anything heavy is imported."""

from __future__ import annotations

import sys

from swarmd.streams import leave, mend_streams


def main() -> None:
    """Run one command and exit."""
    mend_streams()
    match sys.argv[1:]:
        case ["health", *arguments]:
            from swarmd import health

            code = health.main(arguments)
            if code is not None:
                leave(code)
        case ["join", *arguments] if _needs_parent(arguments):
            from swarmd.parent.keeping import keep, peer_command

            sys.exit(keep(peer_command(sys.argv[1:])))
    from swarmd.parent import lifeline

    is_peer = lifeline.has_parent()
    if is_peer:
        lifeline.begin()  # before anything that takes a while to import
    from swarmd.cli import app

    try:
        app.main()
    finally:
        if is_peer:
            lifeline.end()


def _needs_parent(arguments: list[str]) -> bool:
    """Not where one started this, nor for `--devices`, which is the parent of several, or for help."""
    from swarmd.parent import lifeline

    if lifeline.has_parent():
        return False
    words = {argument.partition("=")[0] for argument in arguments}
    return words.isdisjoint(("--devices", "--help", "-h"))


if __name__ == "__main__":
    main()

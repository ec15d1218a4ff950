"""A wish, and programs of the system that do what a test says and keep what they were asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from swarmd.service import Wish

SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> "{place}/calls"
unit="{units}/$3"
case "$2" in
show-environment)
  [ ! -e "{place}/no-manager" ] ;;
restart)
  echo 0 > "{place}/code"
  if [ -e "{place}/no-namespaces" ] && grep -q PrivateUsers=yes "$unit"; then echo 226 > "{place}/code"; fi
  if [ -e "{place}/fails" ]; then cat "{place}/fails" > "{place}/code"; fi
  if [ "$(cat "{place}/code")" != 0 ]; then echo "Job for $3 failed." >&2; exit 1; fi
  echo ActiveState=active > "{place}/state" ;;
show)
  case "$*" in
  *--value) cat "{place}/code" ;;
  *) cat "{place}/state" ;;
  esac ;;
enable)
  [ -e "$unit" ] && echo UnitFileState=enabled >> "{place}/state" ;;
disable)
  rm -f "{place}/state" ;;
esac
"""
LOGINCTL = """\
#!/bin/sh
cat "{place}/linger"
"""
LAUNCHCTL = """\
#!/bin/sh
echo "$@" >> "{place}/calls"
case "$1" in
bootstrap)
  if [ -e "{place}/fails" ]; then echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; fi ;;
print)
  cat "{place}/state" ;;
esac
"""


@dataclass(frozen=True)
class Programs:
    """The programs' own place: files that change what they do, and what they were called with."""

    place: Path
    units: Path

    def write(self, name: str, text: str) -> None:
        path = self.place / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(place=self.place, units=self.units))
        path.chmod(0o755)

    def says(self, name: str, text: str = "") -> None:
        (self.place / name).write_text(text)

    @property
    def calls(self) -> list[str]:
        path = self.place / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def path(self) -> str:
        """A PATH on which these come first."""
        return f"{self.place / 'bin'}{os.pathsep}{os.environ['PATH']}"


def make_wish(home: Path, **changes: object) -> Wish:
    values = {
        "home": home,
        "command": ["/opt/swarmd/bin/python", "-P", "-m", "swarmd", "join", f"--home={home}"],
        "description": "swarmd peer brisk-otter …kM33Kk",
        "memory_max": "90%",
    }
    return Wish(**{**values, **changes})  # type: ignore[arg-type]  # any of its fields

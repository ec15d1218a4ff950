"""Run llama.cpp's own converter, which must be installed separately, to write a GGUF file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from swarmd.errors import ConfigError, SwarmdError
from swarmd.user_paths import looking_at

CONVERTERS = ("llama-convert-hf-to-gguf", "convert_hf_to_gguf.py")
"""Names under which llama.cpp's Python package and its distributions install the converter."""
GET_IT = (
    "--gguf needs llama.cpp's converter: `brew install llama.cpp`, or clone "
    "https://github.com/ggml-org/llama.cpp, install its requirements/requirements-convert_hf_to_gguf.txt "
    "with pip, and put its executable convert_hf_to_gguf.py on the PATH"
)
CONVERT_S_MAX = 3 * 3600.0  # a large model on a slow disk takes minutes; a hung converter must end
TOLD_CHARS_MAX = 300  # characters of a failed converter's last line


def require_converter(target: Path) -> Path:
    """Return the converter's file. Raises ConfigError if there is none, or if `target` exists."""
    with looking_at(target, "--gguf"):
        is_taken = target.exists()
    if is_taken:
        raise ConfigError(f"--gguf {target} exists, and nothing is overwritten: name another file")
    beside_python = str(Path(sys.executable).parent)  # for an environment that is not activated
    path = os.pathsep.join((beside_python, os.environ.get("PATH", os.defpath)))
    found = next((each for name in CONVERTERS if (each := shutil.which(name, path=path))), None)
    if found is None:
        raise ConfigError(GET_IT)
    return Path(found)


def convert(converter: Path, folder: Path, target: Path) -> None:
    """Convert the model in `folder` to `target`, whole or not at all. Raises SwarmdError with the converter's
    last line of output.
    """
    partial = target.with_name(f".{target.name}.writing")
    command = [str(converter), str(folder.absolute()), "--outfile", str(partial.absolute())]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(  # noqa: S603  the operator's own program, without a shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=CONVERT_S_MAX,
            check=False,
        )
        if done.returncode or not partial.exists():
            raise _failed(folder, f"exit code {done.returncode}: {_last_words(done.stdout)}")
        partial.rename(target)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(folder, str(error)) from error
    finally:
        partial.unlink(missing_ok=True)


def _failed(folder: Path, why: str) -> SwarmdError:
    return SwarmdError(
        f"llama.cpp's converter failed ({why}): the model in {folder} is whole. Install what is missing, or "
        "a newer llama.cpp, which may support the model"
    )


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:TOLD_CHARS_MAX] if lines else "no output"

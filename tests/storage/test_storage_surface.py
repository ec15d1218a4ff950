"""The package's public names, and that the small ones do not wait for torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import swarmd.storage


def test_every_public_name_is_there() -> None:
    for name in swarmd.storage.__all__:
        assert hasattr(swarmd.storage, name)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        swarmd.storage.Nothing  # noqa: B018


def test_a_home_and_its_records_need_no_torch() -> None:
    script = "import sys; from swarmd.storage import BlobStore, Home; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

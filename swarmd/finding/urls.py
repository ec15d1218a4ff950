"""What a URL must be before anything is fetched from it. Pure: loads no HTTP library."""

from __future__ import annotations

from urllib.parse import urlsplit

from swarmd.errors import ConfigError
from swarmd.quoting import PATH_CHARS_MAX, shortened


def require_https(asked: str, at: str) -> None:
    """Raise ConfigError unless `at`, which is `asked` or where it redirects, is an https URL."""
    try:
        parts = urlsplit(at)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"{asked} is not a URL: {error}") from error
    if parts.scheme != "https" or not host:
        through = "" if asked == at else f"{asked} redirects to "
        raise ConfigError(
            f"{through}{shortened(at, PATH_CHARS_MAX)} is not https://, so the server cannot be "
            "authenticated: give an https URL, or save the file and give --swarm FILE"
        )

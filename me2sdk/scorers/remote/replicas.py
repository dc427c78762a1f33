"""The servers of a `RemoteTRMScorer`: addresses, and what their failures mean."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from me2sdk.errors import ConfigurationError

__all__ = ["Replica", "ReplicaFailed", "advice", "clean_url"]


@dataclass
class Replica:
    """A server, and until when it is tried last."""

    url: str
    aside_until: float = 0.0  # on the monotonic clock

    @property
    def name(self) -> str:
        """The URL without a user name and password."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class ReplicaFailed(Exception):
    """A failure of one replica, which another one may not have."""


def clean_url(url: str) -> str:
    """The address without a trailing ``/v1``.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ConfigurationError(
            'base_url is an address such as "http://localhost:30000", without a query, or a list of such.'
        )
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def advice(status: int) -> str:
    """What to do about a refusal."""
    if status in (401, 403):
        return "Check api_key."
    if status in (404, 405):
        return "Check base_url, model and api=: the server may be of another kind."
    return "A trace may be longer than the server's context: shorten it, or raise the server's limit."

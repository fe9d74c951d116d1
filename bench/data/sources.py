"""Where a card's files come from: a package of the Python index, or URLs."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, model_validator

from bench.credentials import shown
from bench.registry import Config

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _reachable(url: str) -> str:
    """Raises a ValueError where a URL has no host, or has credentials: it is shown, and kept with every run."""
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket or a port that is none
        whole = False
    if not whole:
        raise ValueError(f"expected a URL such as https://host/path, found '{shown(url)}'")
    if parts.username is not None:
        raise ValueError(f"expected a URL without a user or a password, found '{shown(url)}'")
    return url


Url = Annotated[str, Field(pattern=r"^https?://\S+$"), AfterValidator(_reachable)]


def is_pattern(name: str) -> bool:
    """Whether a file's name stands for all files that match it, as in `part-*.parquet`."""
    return any(mark in name for mark in "*?[")


class RawFile(Config):
    """A file that the card reads, or a pattern for several. `sha256` is of its content, unpacked where it is packed."""

    name: str = Field(pattern=r"^[^/\\]+$", max_length=200)
    sha256: Sha256 | None = None

    @model_validator(mode="after")
    def _one_content(self) -> RawFile:
        if self.sha256 and is_pattern(self.name):
            raise ValueError(f"'{self.name}' stands for several files, which have no sha256 in common")
        return self


class PackageSource(Config):
    """A source distribution of the Python package index, fetched by the pip client; nothing of it is run."""

    kind: Literal["package"] = "package"
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]*$")
    sha256: Sha256
    members: dict[str, str] = Field(min_length=1)
    """File of the card -> path in the archive, below its top folder."""

    @property
    def label(self) -> str:
        """For messages."""
        return f"package {self.name} {self.version}"

    @property
    def files(self) -> tuple[str, ...]:
        """Files of the card that it offers."""
        return tuple(self.members)


class UrlSource(Config):
    """An archive at a URL, or one URL a file."""

    kind: Literal["url"] = "url"
    url: Url | None = None
    sha256: Sha256 | None = None
    """Of the archive."""
    members: dict[str, str] = Field(default_factory=dict)
    """File of the card -> path in the archive; `inner.tar.gz::path` looks into an archive in the archive."""
    urls: dict[str, Url] = Field(default_factory=dict)
    """Instead of `url` and `members`: file of the card -> its own URL."""

    @model_validator(mode="after")
    def _one_form(self) -> UrlSource:
        if bool(self.urls) == bool(self.url) or bool(self.url) != bool(self.members):
            raise ValueError("a url source needs either 'url' with 'members', or 'urls'")
        return self

    @property
    def label(self) -> str:
        """For messages."""
        return self.url or ", ".join(self.urls.values())

    @property
    def files(self) -> tuple[str, ...]:
        """Files of the card that it offers."""
        return tuple(self.members or self.urls)


Source = Annotated[PackageSource | UrlSource, Discriminator("kind")]

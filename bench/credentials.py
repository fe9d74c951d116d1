"""Addresses of servers without their credentials: the one place that takes passwords out of addresses.

Nothing that is kept or shown has a password. One in an address becomes an environment variable of this process and its
workers; later commands take it from there: `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD` for MLflow,
`PGPASSWORD` (or `~/.pgpass`, which libpq reads) for the database of a search.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from bench.errors import UserError

FILES = ("sqlite", "file")
"""Schemes whose addresses are paths: an `@` is a part of a name there."""
_SECRET = re.compile(r"pass(?!file)|pwd|secret|token", re.IGNORECASE)


@dataclass(frozen=True)
class Separated:
    """An address and its credentials, apart.

    Attributes:
        address: without the password; the user stays.
        host: without the user as well.
        user, password: decoded; None for none.
    """

    address: str
    host: str
    user: str | None = None
    password: str | None = None


def separated(address: str, option: str) -> Separated:
    """Takes the credentials out of an address. An unescaped `@`, `:` or `/` in a password is a part of it.

    Args:
        option: where the user gave it, for messages, which never have the password.

    Raises:
        UserError: it cannot be told where the password ends, or there is a secret under another name.
    """
    scheme, mark, rest = address.partition("://")
    if not mark or scheme.partition("+")[0] in FILES:
        return Separated(address, address)
    end = next((at for at, letter in enumerate(rest) if letter in "?#"), len(rest))
    credentials, _, host = rest[:end].rpartition("@")
    user, colon, word = credentials.partition(":")
    if "@" in rest[end:] or "/" in user:
        raise UserError(
            f"{option}: expected '?' and '#' in a password, '/' in a user, and '@' behind the host to be written as "
            "%3F, %23, %2F and %40, found one as it is"
        )
    mark_of, query = rest[end : end + 1], rest[end + 1 :]
    pairs = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if unquote(name) == "password":
            colon, word = ":", value
        elif _SECRET.search(unquote(name)) or (name == "odbc_connect" and _SECRET.search(unquote(value))):
            raise UserError(f"{option}: expected no {unquote(name)} in an address, found one")
        else:
            pairs.append(pair)
    tail = host + (mark_of + "&".join(pairs) if any(pairs) else "")
    kept = f"{quote(unquote(user), safe='')}@" if user else ""
    return Separated(
        f"{scheme}://{kept}{tail}",
        f"{scheme}://{tail}",
        unquote(user) or None,
        unquote(word) if colon else None,
    )


def with_password(address: str, password: str | None) -> str:
    """An address, which has none yet, with a password for its user; as it is where there is no user or no password."""
    scheme, mark, rest = address.partition("://")
    user, at, host = rest.partition("@")
    return f"{scheme}{mark}{user}:{quote(password, safe='')}@{host}" if password and at else address


def shown(address: str) -> str:
    """An address that may be wrong, for a message: what could be a secret in it is starred out."""
    head = re.match(r"[A-Za-z0-9+.:-]*?://", address)
    scheme = head[0] if head else ""
    rest = re.sub(r".*@", "***@", address.removeprefix(scheme), flags=re.DOTALL)
    rest = re.sub(r"^([^:/?#\[@]*):(?!\d+(?:[/?#]|$))[^/?#]+", r"\1:***", rest)
    return scheme + re.sub(r"([?&][^=&]*=)[^&]*", r"\1***", rest)


def scrubbed(text: str, *secrets: str | None) -> str:
    """A text of somebody else's, without these secrets, as they are or quoted for an address."""
    for secret in filter(None, secrets):
        for written in (secret, quote(secret, safe=""), quote(secret)):
            text = text.replace(written, "***")
    return text

"""Addresses of MLflow without their credentials: the one place that takes passwords out of addresses.

Nothing that is kept or shown has a password. One in an address becomes `MLFLOW_TRACKING_USERNAME` and
`MLFLOW_TRACKING_PASSWORD` of this process and its workers; later commands take it from there.
"""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from bench.errors import UserError

USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
"""MLflow reads them for a server; for a database we hand the password on, and libpq has its own ways besides."""
SERVERS = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
FILES = {"sqlite": r"(?<=:///)[^?]+", "file": r"(?<=file:)(?!/).+"}
"""Schemes whose addresses are paths, and where the path is; an `@` is a part of a name there."""
EXAMPLES = (
    "http://HOST:PORT, https://HOST, databricks, sqlite:///FILE, postgresql://.., mysql://.., mssql://.., file:.."
)
_SECRET = re.compile(r"pass(?!file)|pwd|secret|token", re.IGNORECASE)


def kind(uri: str) -> str:
    """The scheme without its driver: `postgresql` of `postgresql+psycopg2://..`."""
    return "databricks" if uri == "databricks" else urlsplit(uri).scheme.partition("+")[0]


def home_address(home: Path) -> str:
    """The address of the store at home, a sqlite file."""
    return f"sqlite:///{home.resolve() / 'mlflow.db'}"


def plain_address(uri: str) -> str:
    """The address as it is kept and shown; whether the store is there is not looked at.

    Credentials in it become `USERNAME` and `PASSWORD` of this process. A relative path of a file is made absolute.

    Raises:
        UserError: an unknown scheme, or a part is missing. The sentence has no password.
    """
    known = {*SERVERS, *DATABASES, "file", *(entry.name for entry in entry_points(group="mlflow.tracking_store"))}
    plain, user, password = separated(uri)
    try:
        scheme, parts = kind(plain), urlsplit(plain)
        whole = scheme in known
        if scheme in ("http", "https"):
            whole = bool(parts.hostname) and parts.port != 0
        elif scheme == "sqlite":  # three slashes: a file, not a host
            whole = not parts.netloc and parts.path.strip("/") != ""
    except ValueError:  # a bracket or a port that is none
        whole = False
    if not whole:
        raise UserError(f"--tracking: expected an MLflow address ({EXAMPLES}), found '{shown(uri)}'")
    if scheme in SERVERS and user:
        os.environ[USERNAME] = user
    if password is not None:
        os.environ[PASSWORD] = password
    path = FILES.get(scheme)
    return re.sub(path, lambda at: os.path.abspath(os.path.expanduser(at[0])), plain, count=1) if path else plain


def separated(address: str) -> tuple[str, str | None, str | None]:
    """An address without the password, and without the user of a server; the user and the password, decoded.

    An unescaped `@`, `:` or `/` in a password is a part of it.

    Raises:
        UserError: it cannot be told where the password ends, or there is a secret under another name.
    """
    scheme, mark, rest = address.partition("://")
    if not mark or scheme.partition("+")[0] in FILES:
        return address, None, None
    end = next((at for at, letter in enumerate(rest) if letter in "?#"), len(rest))
    credentials, _, host = rest[:end].rpartition("@")
    user, colon, word = credentials.partition(":")
    if "@" in rest[end:] or "/" in user:
        raise UserError(
            "--tracking: expected '?' and '#' in a password, '/' in a user, and '@' behind the host to be written as "
            "%3F, %23, %2F and %40, found one as it is"
        )
    pairs = []
    for pair in rest[end + 1 :].split("&"):
        name, _, value = pair.partition("=")
        if unquote(name) == "password":
            colon, word = ":", value
        elif _SECRET.search(unquote(name)) or (name == "odbc_connect" and _SECRET.search(unquote(value))):
            raise UserError(f"--tracking: expected no {unquote(name)} in an address, found one")
        else:
            pairs.append(pair)
    kept = f"{quote(unquote(user), safe='')}@" if user and scheme not in SERVERS else ""
    query = rest[end : end + 1] + "&".join(pairs) if any(pairs) else ""
    return f"{scheme}://{kept}{host}{query}", unquote(user) or None, unquote(word) if colon else None


def secret_address(plain: str) -> str:
    """The address to connect to: that of a database with the password from the environment, where it has a user."""
    password = os.environ.get(PASSWORD)
    scheme, mark, rest = plain.partition("://")
    user, at, host = rest.partition("@")
    secret = password and at and kind(plain) in DATABASES[1:]
    return f"{scheme}{mark}{user}:{quote(password, safe='')}@{host}" if secret and password else plain


def shown(address: str) -> str:
    """An address that may be wrong, for a message: what could be a secret in it is starred out."""
    head = re.match(r"[A-Za-z0-9+.:-]*?://", address)
    scheme = head[0] if head else ""
    rest = re.sub(r".*@", "***@", address.removeprefix(scheme), flags=re.DOTALL)
    rest = re.sub(r"^([^:/?#\[@]*):(?!\d+(?:[/?#]|$))[^/?#]+", r"\1:***", rest)
    return scheme + re.sub(r"([?&][^=&]*=)[^&]*", r"\1***", rest)


def scrubbed(text: str) -> str:
    """A text of somebody else's without the password, as it is or quoted for an address."""
    password = os.environ.get(PASSWORD)
    for written in (password, quote(password, safe=""), quote(password)) if password else ():
        text = text.replace(written, "***")
    return text

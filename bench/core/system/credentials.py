"""Takes credentials out of MLflow addresses; no other module handles passwords in addresses.

An address is kept and shown as scheme, host, port and path, and for a database `OPTIONS`; anything
else is refused. User and password become `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`
of this process and its workers, the profile of `databricks://PROFILE` becomes
`DATABRICKS_CONFIG_PROFILE`; later commands read them from there. They are sent only to addresses
that the user named for this home.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from bench.core.errors import UserError
from bench.core.system.atomic import Unwritable, write_text

USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
"""MLflow reads them for a server. For a database we put them into the address; libpq has other
ways, too.
"""
PROFILE = "DATABRICKS_CONFIG_PROFILE"
"""Databricks reads it. In an address a profile looks like a token."""
SERVERS = ("http", "https", "databricks")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
FILES = {"sqlite": r"(?<=:///).+", "file": r"(?<=file:)(?!/).+"}
"""Schemes whose addresses are paths -> pattern of the path, in which `@` is an ordinary
character.
"""
EXAMPLES = (
    "http://HOST:PORT, https://HOST, databricks, sqlite:///FILE, postgresql://.., "
    "mysql://.., mssql://.., file:.."
)
OPTIONS = ("charset", "driver", "sslmode")
"""Allowed options of a database's address behind `?`; values have letters, digits, blanks and
`._+-`.
"""
_PLAIN = re.compile(r"[\w.~$+:/\[\]\\-]*")
"""Host, port and path of an address that is no file: no `;` and `%`, behind which parameters
hide.
"""


def kind(uri: str) -> str:
    """The scheme without its driver: `postgresql` of `postgresql+psycopg2://..`."""
    if uri == "databricks":
        return uri
    return urlsplit(uri).scheme.partition("+")[0]


def home_address(home: Path) -> str:
    """Address of the store at home, a sqlite file."""
    return f"sqlite:///{home.resolve() / 'mlflow.db'}"


def plain_address(uri: str) -> str:
    """Returns the address as it is kept and shown, without looking whether the store exists.

    Credentials become `USERNAME`, `PASSWORD` and `PROFILE` of this process. A relative file path is
    made absolute. An unknown scheme or a missing part is a UserError without the password.
    """
    address = separated(uri)
    plain = address.plain
    if not _is_whole(plain):
        raise UserError(
            f"--tracking: expected an MLflow address ({EXAMPLES}), found '{shown(uri)}'"
        )
    scheme = kind(plain)
    if address.user is not None:
        os.environ[USERNAME] = address.user
    if address.password is not None:
        os.environ[PASSWORD] = address.password
    if scheme == "databricks":
        plain, _, profile = plain.partition("://")
        if profile:
            os.environ[PROFILE] = profile
    if scheme in FILES:
        return re.sub(FILES[scheme], _absolute, plain, count=1)
    return plain


def _absolute(path: re.Match[str]) -> str:
    return os.path.abspath(os.path.expanduser(path[0]))


def _is_whole(plain: str) -> bool:
    """Whether an address without credentials has a known scheme and all its parts."""
    plugins = [entry.name for entry in entry_points(group="mlflow.tracking_store")]
    try:
        scheme, parts = kind(plain), urlsplit(plain)
        if scheme in FILES:  # three slashes: a file, not a host
            return not parts.netloc and parts.path.strip("/") != ""
        if not _PLAIN.fullmatch(plain.partition("?")[0]):  # no ;jsessionid=..
            return False
        if scheme in ("http", "https"):
            return bool(parts.hostname) and parts.port != 0
        if scheme == "databricks":
            return re.fullmatch(r"databricks(://[\w.-]+)?", plain) is not None
    except ValueError:  # a bracket or a port that is none
        return False
    return scheme in (*DATABASES, *plugins)


class Address(NamedTuple):
    """An address without credentials, and these, decoded."""

    plain: str
    user: str | None
    password: str | None


def separated(address: str) -> Address:
    """Takes user and password out of an address.

    An unescaped `@`, `:` or `/` in a password is part of it. Raises UserError if its end is
    ambiguous, or there is more than `OPTIONS` behind `?` or `#`.
    """
    mark = "://" if "://" in address else ":"
    scheme, mark, rest = address.partition(mark)
    base = scheme.partition("+")[0]
    is_file = base in FILES
    ends = "?" if base == "sqlite" else "?#"
    end = next((place for place, letter in enumerate(rest) if letter in ends), len(rest))
    location, query = rest[:end], rest[end:]
    if is_file:
        credentials, host = "", location
    else:
        credentials, _, host = location.rpartition("@")
    user, colon, word = credentials.partition(":")
    if "@" in query or "/" in user:
        raise UserError(
            "--tracking: expected '?' and '#' in a password, '/' in a user, and '@' behind the "
            "host to be written as %3F, %23, %2F and %40, found one as it is"
        )
    password = unquote(word) if colon else None
    options = []
    for pair in query[1:].split("&") if query else ():
        name, _, value = pair.partition("=")
        if name == "password" and not is_file:
            password = unquote(value)
        elif base in DATABASES[1:] and _is_option(name, value):
            options.append(pair)
        else:
            raise UserError(
                f"--tracking: expected nothing behind '?' or '#' but {', '.join(OPTIONS)} of a "
                f"database, found more; {USERNAME} and {PASSWORD} are for credentials"
            )
    plain = f"{scheme}{mark}{host}"
    if options:
        plain += f"?{'&'.join(options)}"
    return Address(plain, unquote(user) or None, password)


def _is_option(name: str, value: str) -> bool:
    return name in OPTIONS and re.fullmatch(r"[\w .+-]{1,40}", unquote_plus(value)) is not None


def secret_address(plain: str) -> str:
    """Returns the address to connect to: for a database with user and password from the
    environment.
    """
    user, password = os.environ.get(USERNAME), os.environ.get(PASSWORD)
    if not user or kind(plain) not in DATABASES[1:]:
        return plain
    scheme, mark, host = plain.partition("://")
    word = f":{quote(password, safe='')}" if password else ""
    return f"{scheme}{mark}{quote(user, safe='')}{word}@{host}"


def shown(address: str) -> str:
    """An address, which may be wrong, for a message: scheme, host, port and path, and `***` for all
    else.

    What stands behind `databricks://` may be a token, so it is not shown either.
    """
    head = re.match(r"[A-Za-z0-9+.-]*:/+", address)
    scheme = head[0] if head else ""
    rest = address.removeprefix(scheme)
    is_file = kind(scheme) in FILES
    # Before an `@` behind `?` or `#` the end of a password is unknown.
    if not is_file and re.search(r"[?#].*@", rest, flags=re.DOTALL):
        return f"{scheme}***"
    rest = re.sub(r".*@", "***@", rest, flags=re.DOTALL)
    if is_file:
        return scheme + re.sub(r"[?#].*", "***", rest, flags=re.DOTALL)
    if kind(scheme).startswith("databricks"):
        return f"{scheme}***" if rest else scheme
    location = re.match(
        r"(?:\*\*\*@)?(?:\[[0-9A-Fa-f:.]*\]?|[\w.-]*)(?::\d+(?=/|$))?(?:/[\w.~%+-]*)*", rest
    )
    plain = location[0] if location else ""
    hidden = rest[len(plain) :]
    if not hidden:
        return scheme + plain
    colon = ":" if hidden.startswith(":") else ""
    return f"{scheme}{plain}{colon}***"


def remember(address: str, home: Path) -> None:
    """Records in the user's own folder that the user named an address for a home: a home may come
    from elsewhere.
    """
    with suppress(Unwritable):  # seesaw then asks for the address again
        write_text(_mark(address, home), f"{home.resolve()} {address}\n")


def is_known(address: str, home: Path) -> bool:
    """Whether the user named this address for this home before."""
    return _mark(address, home).is_file()


def _mark(address: str, home: Path) -> Path:
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))
    name = hashlib.sha256(f"{home.resolve()}\n{address}".encode()).hexdigest()
    return folder / "seesaw" / "mlflow" / name


def scrubbed(text: str) -> str:
    """Removes the password and the profile, plain or quoted for an address, from a foreign text."""
    for secret in filter(None, map(os.environ.get, (PASSWORD, PROFILE))):
        for written in (secret, quote(secret, safe=""), quote(secret)):
            text = text.replace(written, "***")
    return text

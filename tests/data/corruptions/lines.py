"""Lines of text that do not fit, and spellings of text that do."""

from __future__ import annotations

from corruptions.entry import Entry, Kept, Refused, changed, line
from corruptions.work import Work

CSV, TSV = "log.csv", "log.tsv"


def later(work: Work) -> None:
    """A wrong line behind empty ones, which count."""
    work.insert(CSV, 5, b"", b"", b"u1,i1,2.5")


TABLE: tuple[Entry, ...] = (
    Refused("too few columns behind empty lines", "log", later, "{raw}/log.csv, line 7: expected 10 columns, found 3"),
    Refused(
        "too few columns without a header",
        "tabs",
        line(TSV, 57, b"u1\ti1"),
        "{raw}/log.tsv, line 57: expected 10 columns, found 2",
    ),
    Refused(
        "too few double colons",
        "films",
        line("ratings.dat", 9, b"1::2"),
        "{raw}/ratings.dat, line 9: expected 3 columns, found 2",
    ),
    Refused(
        "another separator",
        "log",
        changed(CSV, lambda data: data.replace(b",", b";")),
        "{raw}/log.csv: unknown raw column 'user'; known are user;item;...",
    ),
    Refused(
        "a quote in the header that is not closed",
        "log",
        lambda work: work.cell(CSV, 1, 3, b'"tags'),
        "{raw}/log.csv, line 1: ...",
    ),
    Refused(
        "no header", "log", lambda work: work.remove(CSV, 1), "{raw}/log.csv, line 1: column '1' is named twice; ..."
    ),
    Refused(
        "line ends of one carriage return",
        "log",
        changed(CSV, lambda data: data.replace(b"\n", b"\r")),
        "{raw}/log.csv...",
    ),
    Refused(
        "a zero byte in a number",
        "log",
        lambda work: work.cell(CSV, 30, 2, b"1\x002"),
        "{raw}/log.csv, line 30: 'price': expected a number, found ...",
    ),
    Kept(
        "a byte-order mark before double colons", "films", changed("ratings.dat", lambda data: b"\xef\xbb\xbf" + data)
    ),
    Kept("CRLF after double colons", "films", changed("ratings.dat", lambda data: data.replace(b"\n", b"\r\n"))),
    Kept("no newline at the end", "log", changed(CSV, lambda data: data[:-1])),
    Kept("empty lines", "log", lambda work: work.insert(CSV, 50, b"", b"")),
    Kept("empty lines at the end", "log", changed(CSV, lambda data: data + b"\n\r\n")),
    Kept(
        "quotes around everything",
        "log",
        changed(CSV, lambda data: b'"' + data[:-1].replace(b",", b'","').replace(b"\n", b'"\n"') + b'"\n'),
    ),
    Kept(
        "columns in another order",
        "log",
        changed(CSV, lambda data: b"\n".join(b",".join(row.split(b",")[::-1]) for row in data.splitlines())),
    ),
)

"""Lines of text that do not fit, and spellings of text that do."""

from __future__ import annotations

from collections.abc import Callable

from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.work import Work

CSV, TSV = "log.csv", "log.tsv"
SHORT, LONG = b"u1,i1,2.5", b"u1,i1,2.5,a,1,100,0,0,1,free,9"


def spelled(name: str, change: Callable[[bytes], bytes]) -> Edit:
    """The whole content changed by a function."""
    return lambda work: (work.raw / name).write_bytes(change((work.raw / name).read_bytes()))


def old_line_ends(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r")


def later(work: Work) -> None:
    """A wrong line behind empty ones, which count."""
    work.insert(CSV, 5, b"", b"", SHORT)


TABLE: tuple[Entry, ...] = (
    Refused(
        "too few columns",
        "log",
        lambda work: work.line(CSV, 57, SHORT),
        "{raw}/log.csv, line 57: expected 10 columns, found 3",
    ),
    Refused(
        "too many columns",
        "log",
        lambda work: work.line(CSV, 58, LONG),
        "{raw}/log.csv, line 58: expected 10 columns, found 11",
    ),
    Refused("too few columns behind empty lines", "log", later, "{raw}/log.csv, line 7: expected 10 columns, found 3"),
    Refused(
        "too few columns without a header",
        "tabs",
        lambda work: work.line(TSV, 57, b"u1\ti1"),
        "{raw}/log.tsv, line 57: expected 10 columns, found 2",
    ),
    Refused(
        "too few double colons",
        "films",
        lambda work: work.line("ratings.dat", 9, b"1::2"),
        "{raw}/ratings.dat, line 9: expected 3 columns, found 2",
    ),
    Refused(
        "another separator",
        "log",
        spelled(CSV, lambda data: data.replace(b",", b";")),
        "{raw}/log.csv: unknown raw column 'user'; known are user;item;...",
    ),
    Refused(
        "a quote that is not closed", "log", lambda work: work.cell(CSV, 30, 3, b'"a'), "{raw}/log.csv, line 30: ..."
    ),
    Refused(
        "a quote in the header that is not closed",
        "log",
        lambda work: work.cell(CSV, 1, 3, b'"tags'),
        "{raw}/log.csv, line 1: ...",
    ),
    Refused(
        "bytes that are not UTF-8",
        "log",
        lambda work: work.cell(CSV, 77, 1, b"caf\xe9"),
        "{raw}/log.csv, line 77: expected UTF-8 text",
    ),
    Refused(
        "no header", "log", lambda work: work.remove(CSV, 1), "{raw}/log.csv, line 1: column '1' is named twice; ..."
    ),
    Refused(
        "a column of another name",
        "log",
        lambda work: work.cell(CSV, 1, 2, b"prices"),
        "{raw}/log.csv: unknown raw column 'price' (did you mean 'prices'?); known are buy, click, ...",
    ),
    Refused(
        "a label column of another name",
        "log",
        lambda work: work.cell(CSV, 1, 6, b"clicks"),
        "{raw}/log.csv: unknown raw column 'click' (did you mean 'clicks'?); known are buy, clicks, ...",
    ),
    Refused("line ends of one carriage return", "log", spelled(CSV, old_line_ends), "{raw}/log.csv..."),
    Refused(
        "a zero byte in a number",
        "log",
        lambda work: work.cell(CSV, 30, 2, b"1\x002"),
        "{raw}/log.csv, line 30: 'price': expected a number, found ...",
    ),
    Kept("a byte-order mark", "log", spelled(CSV, lambda data: b"\xef\xbb\xbf" + data)),
    Kept(
        "a byte-order mark before double colons", "films", spelled("ratings.dat", lambda data: b"\xef\xbb\xbf" + data)
    ),
    Kept("CRLF", "log", spelled(CSV, lambda data: data.replace(b"\n", b"\r\n"))),
    Kept("CRLF after double colons", "films", spelled("ratings.dat", lambda data: data.replace(b"\n", b"\r\n"))),
    Kept("no newline at the end", "log", spelled(CSV, lambda data: data[:-1])),
    Kept("empty lines", "log", lambda work: work.insert(CSV, 50, b"", b"")),
    Kept("empty lines at the end", "log", spelled(CSV, lambda data: data + b"\n\r\n")),
    Kept("blanks around separators", "log", spelled(CSV, lambda data: data.replace(b",", b" , "))),
    Kept(
        "quotes around everything",
        "log",
        spelled(CSV, lambda data: b'"' + data[:-1].replace(b",", b'","').replace(b"\n", b'"\n"') + b'"\n'),
    ),
    Kept(
        "columns in another order",
        "log",
        spelled(CSV, lambda data: b"\n".join(b",".join(line.split(b",")[::-1]) for line in data.splitlines())),
    ),
)

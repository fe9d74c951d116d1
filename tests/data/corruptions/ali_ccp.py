"""Ali-CCP's skeleton and common files: lines that do not fit, and files that do not fit together."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.joins import line, write
from corruptions.work import Work

SKELETON, COMMON = "sample_skeleton_train.csv", "common_features_train.csv"


def edit_line(name: str, number: int, old: bytes, new: bytes) -> Edit:
    """Replaces the first occurrence in one line."""

    def corrupt(work: Work) -> None:
        text = (work.raw / name).read_bytes().split(b"\n")[number - 1]
        assert old in text
        work.line(name, number, text.replace(old, new, 1))

    return corrupt


def ends(name: str, change: Callable[[bytes], bytes]) -> Edit:
    return lambda work: (work.raw / name).write_bytes(change((work.raw / name).read_bytes()))


TABLE: tuple[Entry, ...] = (
    Refused(
        "a weight that is no number",
        "ali",
        edit_line(COMMON, 4, b"\x03", b"\x03heavy"),
        "{raw}/common_features_train.csv, line 4: expected a feature's value to be a number, found ...",
    ),
    Refused(
        "a common line with too few columns",
        "ali",
        line(COMMON, 6, b"lost,1"),
        "{raw}/common_features_train.csv, line 6: expected 3 columns separated by commas, found 2",
    ),
    Refused(
        "a skeleton cut in a line",
        "ali",
        ends(SKELETON, lambda data: data[: data.rindex(b"\x03")]),
        "{raw}/sample_skeleton_train.csv, line 1000: expected ...",
    ),
    Refused(
        "an empty skeleton",
        "ali",
        write(SKELETON, b""),
        "{raw}/sample_skeleton_train.csv: expected lines ..., found an empty file",
    ),
    Refused(
        "a skeleton packed and cut",
        "ali",
        ends(SKELETON, lambda data: gzip.compress(data)[:-999]),
        "{raw}/sample_skeleton_train.csv: broken gzip file: ...",
    ),
    Refused(
        "a field that the format does not have",
        "ali",
        lambda work: work.card_edit('from = "206"', 'from = "204"'),
        "{raw}/sample_skeleton_train.csv: unknown raw column '204'...",
    ),
    Refused(
        "a skeleton without a common file on the card",
        "ali",
        lambda work: work.card_edit('"sample_skeleton_test.csv" = "common_features_test.csv"\n', ""),
        "ali-ccp: reader.common names no common file for '...'",
    ),
    Kept("Ali-CCP with CRLF", "ali", ends(SKELETON, lambda data: data.replace(b"\n", b"\r\n"))),
    Kept("Ali-CCP without a newline at the end", "ali", ends(COMMON, lambda data: data[:-1])),
    Kept("Ali-CCP with empty lines", "ali", lambda work: work.insert(SKELETON, 20, b"", b"")),
    Kept("Ali-CCP with a byte-order mark", "ali", ends(SKELETON, lambda data: b"\xef\xbb\xbf" + data)),
)

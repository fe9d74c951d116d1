"""Ali-CCP's skeleton and common files: lines that do not fit, and files that do not fit together."""

from __future__ import annotations

import gzip
from collections.abc import Callable

from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.joins import again, line, write
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


FEATURES = "expected features as field\\x02id\\x03value joined by \\x01, found "
TABLE: tuple[Entry, ...] = (
    Refused(
        "a feature list with a missing separator",
        "ali",
        edit_line(SKELETON, 40, b"\x02", b""),
        "{raw}/sample_skeleton_train.csv, line 40: " + FEATURES + "...",
    ),
    Refused(
        "a feature list with a missing weight",
        "ali",
        edit_line(COMMON, 3, b"\x03", b""),
        "{raw}/common_features_train.csv, line 3: expected ...",
    ),
    Refused(
        "an id beyond int64",
        "ali",
        edit_line(SKELETON, 41, b"\x02", b"\x0299999999999999999999"),
        "{raw}/sample_skeleton_train.csv, line 41: expected a feature's id to be a whole number below 2^63, found ...",
    ),
    Refused(
        "an id that is no number",
        "ali",
        edit_line(SKELETON, 41, b"\x02", b"\x02x"),
        "{raw}/sample_skeleton_train.csv, line 41: expected a feature's id to be a whole number below 2^63, found ...",
    ),
    Refused(
        "a weight that is no number",
        "ali",
        edit_line(COMMON, 4, b"\x03", b"\x03heavy"),
        "{raw}/common_features_train.csv, line 4: expected a feature's value to be a number, found ...",
    ),
    Refused(
        "a weight that is not a number",
        "ali",
        edit_line(COMMON, 4, b"\x031", b"\x03nan"),
        "{raw}/common_features_train.csv, line 4: expected a feature's value to be a number, found ...",
    ),
    Refused(
        "a common index without a row",
        "ali",
        line(SKELETON, 43, b"43,0,0,nowhere,0,"),
        "{raw}/sample_skeleton_train.csv, line 43: expected a common index of ..., found 'nowhere'",
    ),
    Refused(
        "a common index twice",
        "ali",
        again(COMMON, 2, 5),
        "{raw}/common_features_train.csv, line 5: expected each common index once, found one again",
    ),
    Refused(
        "no common index",
        "ali",
        line(SKELETON, 44, b"44,0,0,,0,"),
        "{raw}/sample_skeleton_train.csv, line 44: expected a common index, found none",
    ),
    Refused(
        "a click of 2",
        "ali",
        line(SKELETON, 45, b"45,2,0,abc,0,"),
        "{raw}/sample_skeleton_train.csv, line 45: expected click and buy to be 0 or 1, found 2 and 0",
    ),
    Refused(
        "an impression with too few columns",
        "ali",
        line(SKELETON, 46, b"46,0,0,abc"),
        "{raw}/sample_skeleton_train.csv, line 46: expected 6 columns separated by commas, found 4",
    ),
    Refused(
        "an impression with too many columns",
        "ali",
        edit_line(SKELETON, 46, b",", b",9,"),
        "{raw}/sample_skeleton_train.csv, line 46: expected 6 columns separated by commas, found 7",
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
        "an empty common file",
        "ali",
        write(COMMON, b""),
        "{raw}/common_features_train.csv: expected lines ..., found an empty file",
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

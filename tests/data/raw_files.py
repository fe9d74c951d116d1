"""Generated raw files in the exact formats of public data sets."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

ROWS = 600


def write(path, columns, values, header=True, separator=","):
    lines = [separator.join(columns)] if header else []
    path.write_text(
        "\n".join(lines + [separator.join(map(str, row)) for row in values.tolist()]) + "\n"
    )


def aliexpress(country, folder, rng):
    for part in ("train", "test"):
        searches = np.arange(1, 101) + (1000 if part == "test" else 0)
        user = rng.integers(0, 9, (100, 33))
        user[:, 0] = searches
        item = rng.integers(0, 9, (4 * ROWS, 49))
        item[:, 0] = rng.choice([*searches, 99_999], 4 * ROWS)  # the last has no partner
        item[:, 48] = rng.choice(3, 4 * ROWS, p=[0.6, 0.25, 0.15])
        write(folder / f"{country}_user_{part}.csv", [], user, header=False)
        write(folder / f"{country}_item_{part}.csv", [], item, header=False)


def aliexpress_processed(folder, rng):
    names = [
        "search_id",
        *(f"categorical_{i}" for i in range(1, 17)),
        *(f"numerical_{i}" for i in range(1, 64)),
    ]
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


def kuairand(folder, edition, parts, rng):
    for window, dates in (
        ("4_08_to_4_21", [20220410, 20220420]),
        ("4_22_to_5_08", [20220423, 20220501]),
    ):
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


def tenrec(folder, name, history, rng):
    labels = ["click", "follow", "like", "share"]
    columns = ["user_id", "item_id", *labels, "video_category", "watching_times", "gender", "age"]
    columns += [f"hist_{i}" for i in range(1, 11)] if history else []
    values = rng.integers(0, 20, (ROWS, len(columns))).astype(object)
    values[:, 2:6] = (rng.random((ROWS, 4)) < 0.4).astype(int)
    values[::3, 6] = "\\N"
    write(folder / name, columns, values)


def movielens(folder, rng):
    ratings = np.stack(
        [rng.integers(1, 21, ROWS), rng.integers(1, 11, ROWS), rng.integers(1, 6, ROWS)], axis=1
    )
    (folder / "ratings.dat").write_text(
        "".join(f"{u}::{m}::{r}::978300760\n" for u, m, r in ratings.tolist())
    )
    (folder / "users.dat").write_text("".join(f"{u}::F::25::10::48067\n" for u in range(1, 21)))
    films = "".join(f"{m}::Miss\xe9rables: {m} (1995)::Drama|Musical\n" for m in range(1, 11))
    (folder / "movies.dat").write_bytes(films.encode("latin-1"))


def movielens_100k(folder, rng):
    ratings = np.stack(
        [rng.integers(1, 21, ROWS), rng.integers(1, 11, ROWS), rng.integers(1, 6, ROWS)], axis=1
    )
    (folder / "u.data").write_text(
        "".join(f"{u}\t{m}\t{r}\t881250949\n" for u, m, r in ratings.tolist())
    )
    (folder / "u.user").write_text("".join(f"{u}|24|M|technician|85711\n" for u in range(1, 21)))
    flags = "|".join("01"[number % 2] for number in range(19))
    films = "".join(
        f"{m}|Miss\xe9rables: {m} (1995)|01-Jan-1995||http://us.imdb.com/{m}|{flags}\n"
        for m in range(1, 11)
    )
    (folder / "u.item").write_bytes(films.encode("latin-1"))


def ijcai(folder, rng):
    log = rng.integers(1, 20, (ROWS, 7))
    log[:, 5], log[:, 6] = rng.choice([511, 930, 1010, 1111], ROWS), rng.integers(0, 4, ROWS)
    names = ["user_id", "item_id", "cat_id", "seller_id", "brand_id", "time_stamp", "action_type"]
    write(folder / "user_log_format1.csv", names, log)
    info = np.stack([np.arange(1, 20), rng.integers(0, 9, 19), rng.integers(0, 3, 19)], axis=1)
    write(folder / "user_info_format1.csv", ["user_id", "age_range", "gender"], info)


def byterec(folder, rng):
    values = rng.integers(-1, 20, (ROWS, 12))
    values[:, 6:8] = rng.random((ROWS, 2)) < 0.4
    write(folder / "final_track2_train.txt", [], values, header=False, separator="\t")


Writer = Callable[[Path, np.random.Generator], None]
WRITERS: dict[str, tuple[Writer, int | None]] = {
    **{
        f"aliexpress-{c}": (partial(aliexpress, c.upper()), None)
        for c in ("nl", "es", "fr", "us", "ru")
    },
    "aliexpress-nl@processed": (aliexpress_processed, 2 * ROWS),
    "kuairand-1k": (lambda f, r: kuairand(f, "1k", ("",), r), 2 * ROWS),
    "kuairand-27k": (lambda f, r: kuairand(f, "27k", ("_part1", "_part2"), r), 4 * ROWS),
    "tenrec-ctr": (lambda f, r: tenrec(f, "ctr_data_1M.csv", True, r), ROWS),
    "tenrec-qk-video": (lambda f, r: tenrec(f, "QK-video.csv", False, r), ROWS),
    "movielens-1m": (movielens, ROWS),
    "movielens-100k": (movielens_100k, ROWS),
    "ijcai-15": (ijcai, ROWS),
    "byterec": (byterec, ROWS),
}

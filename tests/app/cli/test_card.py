"""From files alone to a trained model: `seesaw data card`, then `prepare` and `train` with the card as
it was written.
"""

import json
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.data import Card

SMALL = [
    "--set",
    "optim.epochs=1",
    "--set",
    "embedding.dim=4",
    "--set",
    "optim.batch_size=256",
    "--threads",
    "1",
]


def log(rows=1200, seed=0):
    """An online shop's impressions, with most of what makes columns awkward."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(0, 60, rows), rng.integers(0, 30, rows)
    click = rng.random(rows) < 1 / (1 + np.exp(-(np.sin(users) + np.cos(items))))
    buy = click & (rng.random(rows) < 0.4)
    stray = [3, rows // 2, rows - 9]
    buy[stray] = ~click[stray]
    times = pd.Timestamp("2024-03-01") + pd.to_timedelta(
        np.sort(rng.integers(0, 20 * 86400, rows)), unit="s"
    )
    tags = np.array(["red", "blue", "new", "sale"])
    return pd.DataFrame(
        {
            "": np.arange(rows),
            "seen at": times.strftime("%Y-%m-%d %H:%M:%S"),
            "user_id": [f"u{user}" for user in users],
            "item_id": items + 1000,
            "price": np.exp(rng.normal(3, 1.2, rows)).round(2),
            "price_bucket": rng.integers(0, 5, rows),
            "age": np.where(rng.random(rows) < 0.1, "NA", rng.integers(18, 80, rows).astype(str)),
            "stock": rng.integers(0, 5000, rows),
            "premium": np.where(rng.random(rows) < 0.3, "yes", "no"),
            "tags": [
                "|".join(sorted(set(rng.choice(tags, rng.integers(0, 4))))) for _ in range(rows)
            ],
            'said "so", é': rng.choice(["a,b", 'c"d', "é"], rows),
            "hourmin": rng.integers(0, 24, rows) * 100,
            "day": times.strftime("%Y%m%d").astype(int),
            "shop": "here",
            "dwell": rng.exponential(10, rows).round(1),
            "bought_at": np.where(buy, "2024-04-01 00:00:00", ""),
            "price_paid_in": np.where(buy, "EUR", None),
            "click": click.astype(int),
            "buy": buy.astype(int),
        }
    )


FUNNEL = ["--label", "click", "--label", "buy", "--parent", "buy=click"]


def card_of(folder, name="card.toml"):
    return tomllib.loads((folder / name).read_text(encoding="utf-8"))


def proposed(said):
    return [(each["at"], each["keys"]) for each in json.loads(said.out)["proposals"]]


def trains(seesaw, card, *options):
    prepared = seesaw("data", "prepare", card, *options, "--json")
    assert prepared.code == 0, prepared.err
    trained = seesaw("train", card, *options, *SMALL, "--json")
    assert trained.code == 0, trained.err
    metrics = json.loads(trained.out)["metrics"]
    assert any(name.startswith("test/") for name in metrics)
    return json.loads(prepared.out)


def test_what_it_proposes_can_be_uncommented(seesaw, tmp_path):
    rng, frame = np.random.default_rng(0), log(2400)
    frame = pd.concat([frame, frame.tail(5)]).assign(
        sample_weight=lambda all_: rng.uniform(1, 100, len(all_)).round(2)
    )
    frame["spend"] = np.where(
        frame.click * frame.buy == 1, rng.lognormal(3, 1, len(frame)).round(2), np.nan
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    said = seesaw(
        "data", "card", tmp_path / "log.csv", *FUNNEL, "--label", "spend", "--json", home=None
    )
    assert said.code == 0, said.err
    assert proposed(said) == [
        ("", {"units": "user_id"}),
        ("", {"weight": "sample_weight"}),
        ("tasks.spend", {"parent": "buy"}),
    ]
    card, text = tmp_path / "card.toml", (tmp_path / "card.toml").read_text(encoding="utf-8")
    # of each split: a drift is seen
    means = re.findall(r"spend ([\d.]+) on average", text.replace("\n# ", " "))
    assert len(means) == 4
    assert all(10 < float(mean) < 100 for mean in means)
    assert not {"units", "weight"} & set(card_of(tmp_path))
    splits = json.loads(seesaw("data", "prepare", card, "--json").out)["splits"]
    rows = {name: part["rows"] for name, part in splits.items()}
    assert rows == json.loads(said.out)["split"]["rows"]
    assert all(f"# {name}: {count:,} rows" in text for name, count in rows.items())
    card.write_text(re.sub(r"^# (units|weight|parent) =", r"\1 =", text, flags=re.MULTILINE))
    read = card_of(tmp_path)
    assert (read["tasks"][2]["parent"], read["reader"]["missing"]) == ("buy", ["NA"])
    assert read["post_exposure"] == ["dwell", "bought_at", "price_paid_in"]
    assert (read["columns"]["price_value"]["from"], 'said "so", é' in read["columns"]) == (
        "price",
        True,
    )
    told = seesaw("list", "datasets", card, "--json")
    assert json.loads(told.out)["weight"] == "sample_weight"
    assert json.loads(seesaw("data", "prepare", card, "--json").out)["weights"]["plain"]


def test_a_card_elsewhere_finds_its_files(seesaw, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "cards" / "mine.toml"
    raw.mkdir()
    log().to_csv(raw / "log.csv", index=False, sep=";")
    said = seesaw(
        "data", "card", raw / "log.csv", "--label", "click", "--out", out, "--id", "mine", home=None
    )
    assert said.code == 0, said.err
    assert card_of(tmp_path / "cards", "mine.toml")["folder"] == "../raw"
    trains(seesaw, out)


def test_nothing_is_replaced_without_being_told_to(seesaw, tmp_path):
    log().to_csv(tmp_path / "log.csv", index=False)
    (tmp_path / "card.toml").write_text("mine")
    said = seesaw("data", "card", tmp_path / "log.csv", "--label", "click", home=None)
    assert said.code == 2
    assert "--force" in said.err
    assert (tmp_path / "card.toml").read_text() == "mine"
    assert (
        seesaw("data", "card", tmp_path / "log.csv", "--label", "click", "--force", home=None).code
        == 0
    )
    assert card_of(tmp_path)["id"] == "log"


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    frame = log(400)
    frame.to_csv(folder / "log.csv", index=False)
    frame.drop(columns="age").to_csv(folder / "other.csv", index=False)
    (folder / "returns.csv").write_bytes(frame.to_csv(index=False, lineterminator="\r").encode())
    (folder / "constant.csv").write_text("a,click\n" + "x,1\nx,0\n" * 100)
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("log.csv", "at least one --label"),
        ("nope.csv --label click", "file not found"),
        ("constant.csv --label click", "no column is left as an input: 'a' (constant)"),
        ("log.csv other.csv --label click", "'age' is in"),
        ("returns.csv --label click", "end with a newline, found a carriage return inside"),
        ("log.csv --label click --label buy --parent buy=clik", "did you mean 'click'?"),
        ("log.csv --label click --group click", "is a label"),
        (
            "log.csv --label click --logged user_id --group user_id",
            "found 'user_id', which --group names",
        ),
        ("log.csv --label click --out card.txt", "ends in .toml"),
    ],
)
def test_each_mistake_is_one_sentence(mistakes, arguments, message, seesaw, monkeypatch):
    monkeypatch.chdir(mistakes)
    said = seesaw("data", "card", *shlex.split(arguments), home=None)
    assert said.code == 2, said.err
    assert message in said.err
    assert said.err.strip().count("\n") == 0
    assert not (mistakes / "card.toml").exists()


@pytest.mark.slow
def test_real_census_income(seesaw, tmp_path, census_raw):
    names = ",".join(load_values("census-income")["reader"]["columns"])
    files = [census_raw / "census-income.data.gz", census_raw / "census-income.test.gz"]
    out = tmp_path / "card.toml"
    options = ["--columns", names, "--split", "files", "--rows", 20_000, "--out", out]
    labels = ["--label", "income_50k", "--label", "marital_stat=Never married"]
    said = seesaw("data", "card", *files, *labels, *options, "--json", home=None)
    assert said.code == 0, said.err
    card = card_of(tmp_path)
    assert card["tasks"][0]["positive"] == ["50000+."]
    assert card["reader"]["missing"] == ["?"]
    assert card["post_exposure"] == []
    assert len(card["columns"]) == 39
    assert "instance_weight" not in card["columns"]
    assert [keys for _, keys in proposed(said)] == [
        {"weight": "instance_weight"},
        {"drop_duplicates": True},
    ]
    assert seesaw("data", "prepare", out, "--raw", census_raw).code == 0


@pytest.mark.slow
def test_real_kuairand(seesaw, tmp_path, kuairand_raw):
    """What its own card, written by hand, lists as known only afterwards is found from the log
    alone.
    """
    out = tmp_path / "card.toml"
    labels = ["--label", "is_click", "--label", "is_like", "--parent", "is_like=is_click"]
    options = ["--time", "time_ms", "--group", "user_id", "--rows", 50_000, "--out", out]
    log = kuairand_raw / "log_standard_4_22_to_5_08_pure.csv.gz"
    said = seesaw("data", "card", log, *labels, *options, "--json", home=None)
    assert said.code == 0, said.err
    ours, theirs = card_of(tmp_path), load_values("kuairand-pure")
    assert {*ours["post_exposure"], "is_click", "is_like"} == set(theirs["post_exposure"])
    assert set(ours["columns"]) == {"user_id", "video_id", "hourmin_hour", "duration_ms", "tab"}
    assert {at for at, _ in proposed(said)} <= {"reader"}
    assert seesaw("data", "prepare", out, "--raw", kuairand_raw).code == 0


@pytest.mark.slow
def test_real_hotel_bookings(seesaw, tmp_path, hotel_raw):
    labels = [*("--label", "is_canceled"), *("--label", "adr"), *("--label", "booking_changes")]
    out = ["--out", tmp_path / "card.toml", "--json"]
    said = seesaw("data", "card", hotel_raw / "hotel_bookings.csv.gz", *labels, *out, home=None)
    assert said.code == 0, said.err
    assert proposed(said) == [("reader", {"drop_duplicates": True})]


def load_values(name):
    from bench.core.system import content

    return content.read_toml(content.find("datasets", name))


def test_the_guide_names_every_key_of_a_card():
    text = (Path(__file__).parents[3] / "docs" / "cards.md").read_text(encoding="utf-8")
    schema = Card.model_json_schema(by_alias=True)
    # of back-tests alone
    models = [
        schema,
        *(each for name, each in schema["$defs"].items() if name != "CutSplit"),
    ]
    for name in sorted({name for model in models for name in model.get("properties", {})}):
        assert f"`{name}`" in text, name


def ranked_log(rows=2400):
    """A log of requests of four rows, with the place and the score of today, in order of time."""
    request = np.arange(rows) // 4
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "event_time": (
                pd.Timestamp("2024-03-01") + pd.to_timedelta(request * 600, unit="s")
            ).astype(str),
            "request_id": request + 70_000,
            "user_id": [f"u{number % 60}" for number in request],
            "position": np.arange(rows) % 4 + 1,
            "price": rng.normal(size=rows).round(3),
            "todays_score": rng.random(rows).round(4),
            "click": (rng.random(rows) < 0.4).astype(int),
        }
    )


def test_a_time_and_a_group_that_are_seen_are_used(seesaw, tmp_path):
    ranked_log().to_csv(tmp_path / "log.csv", index=False)
    said = seesaw("data", "card", tmp_path / "log.csv", "--label", "click", home=None)
    assert said.code == 0, said.err
    card = card_of(tmp_path)
    assert (card["split"]["kind"], card["time"], card["group"]) == (
        "time",
        "event_time",
        "request_id",
    )
    assert card["units"] == "user_id"
    assert [*card["columns"]] == ["user_id", "price"]
    assert card["post_exposure"] == ["position"]
    assert "'request_id' is taken for the group" in (tmp_path / "card.toml").read_text().replace(
        "\n# ", " "
    )
    assert "--current column:todays_score" in said.out
    prepared = seesaw("data", "prepare", tmp_path / "card.toml", "--json")
    assert prepared.code == 0, prepared.err


def test_a_time_that_would_part_groups_gives_way_to_them(seesaw, tmp_path):
    frame = ranked_log()
    frame["request_id"] = np.random.default_rng(1).permutation(frame["request_id"])
    frame.to_csv(tmp_path / "log.csv", index=False)
    said = seesaw("data", "card", tmp_path / "log.csv", "--label", "click", home=None)
    assert said.code == 0, said.err
    assert card_of(tmp_path)["split"]["column"] == "request_id"


def test_a_split_by_time_parts_no_request(seesaw, tmp_path):
    frame = ranked_log()
    seconds = pd.to_timedelta(frame["position"] * 7, unit="s")
    frame["event_time"] = (pd.to_datetime(frame["event_time"]) + seconds).astype(str)
    frame.to_csv(tmp_path / "log.csv", index=False)
    said = seesaw("data", "card", tmp_path / "log.csv", "--label", "click", home=None)
    assert said.code == 0, said.err
    split = card_of(tmp_path)["split"]
    time = frame["event_time"]
    parts = [time <= split["train"]["last"], time >= split["test"]["first"]]
    parts.append((time >= split["valid"]["first"]) & (time <= split["valid"]["last"]))
    requests = [set(frame["request_id"][part]) for part in parts]
    assert all(requests)
    assert len(set.union(*requests)) == sum(map(len, requests))


def test_a_time_is_seen_without_a_request_where_rows_of_somebody_repeat(seesaw, tmp_path):
    ranked_log().drop(columns="request_id").to_csv(tmp_path / "log.csv", index=False)
    said = seesaw("data", "card", tmp_path / "log.csv", "--label", "click", home=None)
    assert said.code == 0, said.err
    card = card_of(tmp_path)
    assert (card["split"]["kind"], card["time"]) == ("time", "event_time")
    assert "say --group user_id" in said.out.replace("\n", " ")
    assert card["post_exposure"] == ["position"]
    assert "position" not in card["columns"]


def test_units_may_be_said(seesaw, tmp_path):
    log().to_csv(tmp_path / "log.csv", index=False)
    said = seesaw(
        "data", "card", tmp_path / "log.csv", "--label", "click", "--units", "user_id", home=None
    )
    assert said.code == 0, said.err
    assert card_of(tmp_path)["units"] == "user_id"
    wrong = seesaw(
        "data",
        "card",
        tmp_path / "log.csv",
        "--label",
        "click",
        "--units",
        "usr",
        "--force",
        home=None,
    )
    assert (wrong.code, "--units" in wrong.err) == (2, True)
    parted = "--group", "item_id", "--units", "user_id", "--force"
    refused = seesaw("data", "card", tmp_path / "log.csv", "--label", "click", *parted, home=None)
    assert (refused.code, "one value of 'user_id' for each 'item_id'" in refused.err) == (2, True)


def test_a_card_lies_above_partitions_and_names_what_was_given(tmp_path, seesaw, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = log().rename(columns={"day": "date"})
    for day in ("2024-03-03", "2024-03-04"):
        for part in range(2):
            folder = tmp_path / "log" / f"day={day}"
            folder.mkdir(parents=True, exist_ok=True)
            frame[part::2].to_csv(folder / f"part-{part}.csv", index=False)
    for addresses, card, names in [
        ("log", "card.toml", ["log"]),
        ("'log/day=*'", "log/card.toml", ["day=*"]),
        ("log/day=2024-03-03/part-1.csv", "log/card.toml", ["day=2024-03-03/part-1.csv"]),
        (
            "log/day=2024-03-03/part-1.csv log/day=2024-03-04/part-0.csv",
            "log/card.toml",
            ["day=2024-03-03/part-1.csv", "day=2024-03-04/part-0.csv"],
        ),
    ]:
        options = "--label click --split random --force --rows 100"
        said = seesaw(*shlex.split(f"data card {addresses} {options}"), home=None)
        assert said.code == 0, said.err
        written = tomllib.loads((tmp_path / card).read_text())
        assert [file["name"] for file in written["files"]] == names
        assert "day" in (tmp_path / card).read_text()
        assert "folder" not in written

"""Trainers from elsewhere: what they get, what is measured of their answers, and how they fail."""

import json
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from bench.core.errors import TrainerError, UserError
from bench.core.records import Job
from bench.core.system.progress import Silent
from bench.data import prepare
from bench.data.handed_rows import write_handed_rows
from bench.data.loading import load_card
from bench.models.trainers import job as jobs
from bench.models.trainers.function import HERE
from bench.models.trainers.handing import (
    ROWS,
    TRAINERS,
    HandedTrainer,
    OriginalTrainer,
    check_trainer,
    hand_over,
)
from bench.models.trainers.job import run_training

ROWS_IN_ALL = 1200
SEED = 11
CARD = """
id = "shop"
title = "t"
licence = "t"
citation = "t"
homepage = "https://example.org"
group = "user"
post_exposure = ["seconds"]
keys = ["request"]
[reader]
kind = "csv"
[[files]]
name = "log.csv"
[split]
kind = "random"
valid = 0.3
test = 0.2
seed = 1
[[tasks]]
name = "click"
column = "clicked"
[[tasks]]
name = "buy"
column = "bought"
parent = "click"
[columns]
item = "categorical"
price = "numeric"
"""
PROGRAM = """
import json, sys
import pandas as pd
job = json.load(open(sys.argv[1]))
def answer(score):
    for split in job["predict"]:
        rows = pd.read_parquet(job["rows"][split])
        chances = score(rows)
        columns = {"row": rows["row"], "click": chances, "buy": chances * chances / 2}
        pd.DataFrame(columns).to_parquet(job["answer"][split])
def by_price(rows):
    return 0.1 + 0.8 * rows["price"]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A prepared log whose rows can be told apart: the raw frame, its card, and its store."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(SEED)
    log = pd.DataFrame(
        {
            "request": [f"r{number}" for number in range(ROWS_IN_ALL)],
            "user": rng.integers(0, 200, ROWS_IN_ALL),
            "item": rng.integers(0, 9, ROWS_IN_ALL),
            "price": rng.random(ROWS_IN_ALL).round(6),
        }
    )
    log["clicked"] = (rng.random(ROWS_IN_ALL) < 0.2 + 0.5 * log["price"]).astype(int)
    log["bought"] = (log["clicked"] * (rng.random(ROWS_IN_ALL) < 0.5)).astype(int)
    log["seconds"] = rng.random(ROWS_IN_ALL)
    log.to_csv(folder / "log.csv", index=False)
    (folder / "card.toml").write_text(CARD)
    card = load_card(str(folder / "card.toml"))
    store = prepare(card, folder / "home", folder, Silent()).with_tasks(["click", "buy"])
    run = folder / "run"
    write_handed_rows(card, store, folder / "home", folder, run / ROWS, Silent())
    return log, card, store, run


@pytest.fixture
def handed(shop, tmp_path):
    """Hands a trainer over, of the keys of its file and the text of its program."""
    _, card, store, run = shop

    def hand(program="", fit=None, **keys):
        name = f"t{len(list((run / TRAINERS).glob('*')))}"
        values = {"name": name, **keys}
        if fit is None:
            (tmp_path / "train.py").write_text(PROGRAM + program)
            values.setdefault("command", [sys.executable, "train.py"])
        else:
            values["function"] = "here:fit"
            HERE[name] = fit
        file = tmp_path / "trainer.toml"
        file.write_text(toml(values))
        original = OriginalTrainer(file, tmp_path)
        check_trainer(original.file, card)
        hand_over(original, card, store, full_samples=1000, to=run / TRAINERS / name)
        return HandedTrainer.open(run / TRAINERS / name)

    return hand


def toml(values):
    """A file of these keys; a table is written inline."""

    def written(value):
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {written(one)}" for key, one in value.items()) + " }"
        return json.dumps(value)

    return "".join(f"{key} = {written(value)}\n" for key, value in values.items())


def job_of(shop, trainer, **changes):
    _, _, store, _ = shop
    job = Job(
        trial=0,
        replicate=0,
        config={"trainer.kind": trainer.file.name, f"trainer.{trainer.file.name}.depth": 3},
        store=str(store.path),
        seed=5,
        splits=("valid",),
        objectives=("click.auc", "buy.ctcvr.auc"),
        tasks=("click", "buy"),
        threads=1,
        trainer=str(trainer.folder),
    )
    return replace(job, **changes)


def by_price(config, seed, train, rows):
    predictions = {}
    for split, frame in rows.items():
        click = 0.1 + 0.8 * frame["price"]
        predictions[split] = np.stack([click, click * click / 2], axis=1)
    return predictions


def test_rows_come_with_labels_of_train_alone(shop, handed):
    log, _, store, _ = shop
    seen = {}

    def fit(config, seed, train, rows):
        seen.update(rows, train=train, config=config, seed=seed)
        return by_price(config, seed, train, rows)

    splits = ("valid", "confirm", "test")
    run_training(job_of(shop, handed(fit=fit), splits=splits, replicate=1))
    assert (seen["config"], seen["seed"]) == ({"depth": 3}, 5)
    handed_columns = ["row", "item", "price", "request", "user"]
    assert [*seen["train"]] == [*handed_columns, "click", "buy"]
    raw = log.set_index("request")
    for split in ("train", *splits):
        frame = seen[split]
        assert len(frame) == len(store.split(split))
        assert [*frame][: len(handed_columns)] == handed_columns
        assert np.allclose(frame["price"], raw.loc[frame["request"], "price"])
        clicked = raw.loc[frame["request"], "clicked"].to_numpy()
        assert np.array_equal(store.split(split).labels[:, 0], clicked)  # rows in the store's order
        if split != "train":
            assert not {"click", "buy"} & {*frame}
    assert np.array_equal(seen["train"]["click"], raw.loc[seen["train"]["request"], "clicked"])


def test_labels_of_validation_come_where_they_are_asked_for(shop, handed):
    seen = {}

    def fit(config, seed, train, rows):
        seen.update(rows)
        return by_price(config, seed, train, rows)

    trainer = handed(fit=fit, labels="valid")
    run_training(job_of(shop, trainer, splits=("valid", "confirm", "test"), replicate=1))
    assert "click" in seen["valid"]
    assert "click" not in seen["confirm"]
    assert "click" not in seen["test"]


def test_no_file_of_a_run_has_labels_of_confirmation_rows_or_test(shop):
    *_, run = shop
    for file in (run / ROWS).glob("*.parquet"):
        columns = {*pd.read_parquet(file)}
        has_labels = bool(columns & {"click", "buy", "clicked", "bought", "seconds"})
        assert has_labels == (file.name in ("train.parquet", "valid.labels.parquet"))


def test_metrics_are_those_of_another_library(shop, handed):
    log, *_ = shop
    seen = {}

    def fit(config, seed, train, rows):
        seen.update(rows)
        return by_price(config, seed, train, rows)

    metrics = run_training(job_of(shop, handed(fit=fit))).metrics
    valid = log.set_index("request").loc[seen["valid"]["request"]]
    assert metrics["valid/click.auc"] == pytest.approx(
        roc_auc_score(valid["clicked"], valid["price"])
    )


def test_predictions_given_the_parent_are_those_of_all_rows_divided(shop, handed):
    def given_the_parent(config, seed, train, rows):
        joint = by_price(config, seed, train, rows)
        return {
            split: np.stack([chances[:, 0], chances[:, 1] / chances[:, 0]], axis=1)
            for split, chances in joint.items()
        }

    joint = run_training(job_of(shop, handed(fit=by_price))).metrics
    conditional = run_training(
        job_of(shop, handed(fit=given_the_parent, conditional=["buy"]))
    ).metrics
    assert conditional == pytest.approx(joint, abs=1e-6)


def test_a_program_gives_what_a_function_gives_and_its_rows_may_be_named_by_key(shop, handed):
    shuffled = PROGRAM.replace('{"row": rows["row"],', '{"request": rows["request"],')
    by_key = shuffled.replace("pd.DataFrame(columns)", "pd.DataFrame(columns).sample(frac=1)")
    expected = run_training(job_of(shop, handed(fit=by_price))).metrics
    program = "answer(by_price)\njson.dump({'costs': {'latency_ms': 2.5}}, open(job['costs'], 'w'))"
    found = run_training(job_of(shop, handed(program))).metrics
    assert found == pytest.approx(expected | {"cost/latency_ms": 2.5}, abs=1e-6)
    trainer = handed(by_key + "answer(by_price)", by_key=["request"], keys_only=True)
    assert [*trainer.frame("test", shop[2].schema)] == ["row", "request", "user"]
    trainer = handed(by_key + "answer(by_price)", by_key=["request"])
    assert run_training(job_of(shop, trainer)).metrics == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("program", "keys", "reason"),
    [
        (
            "raise ValueError('no such column')",
            {},
            "ended with code 1; its last line: ValueError: no",
        ),
        ("import time; time.sleep(60)", {"seconds": 0.5}, "took longer than 0.5 s"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {}, "was killed by SIGKILL"),
        ("pass", {}, r"expected predictions of valid in valid\.parquet, found no such file"),
        (
            "answer(lambda rows: by_price(rows) * float('nan'))",
            {},
            "expected numbers, found nan in",
        ),
        (
            "answer(lambda rows: 2 + by_price(rows))",
            {},
            "expected probabilities from 0 to 1, found",
        ),
        (
            "answer(lambda rows: 0.5)",
            {},
            "expected predictions that differ, found 0.5 in every row",
        ),
        ("bytearray(1 << 30)", {"memory_mb": 700}, "MemoryError"),
        (
            "answer(by_price); open(job['answer']['valid'], 'w').write('no')",
            {},
            "expected a parquet",
        ),
        ("answer(by_price); open(job['costs'], 'w').write('[1]')", {}, r'expected {"costs"'),
        (
            "answer(by_price); file = job['answer']['valid']; "
            "pd.read_parquet(file).iloc[3:].to_parquet(file)",
            {},
            r"expected a prediction of each of \d+ rows, found none of 3, the first of them 0",
        ),
        (
            "answer(by_price); file = job['answer']['valid']; "
            "pd.read_parquet(file).drop(columns='buy').to_parquet(file)",
            {},
            "expected the column 'buy', which is missing",
        ),
    ],
)
def test_a_program_that_fails_says_why_in_one_sentence(shop, handed, program, keys, reason):
    trainer = handed(program, **keys)
    with pytest.raises(TrainerError, match=reason) as failed:
        run_training(job_of(shop, trainer))
    assert "\n" not in str(failed.value)
    assert (trainer.folder / "jobs/trial-0-full-search/log.txt").is_file()  # to be looked at


def test_of_what_a_program_writes_the_end_is_kept(shop, handed):
    trainer = handed("for _ in range(100): print('x' * (1 << 20))\nraise SystemExit('the end')")
    with pytest.raises(TrainerError, match="its last line: the end"):
        run_training(job_of(shop, trainer))
    log = trainer.folder / "jobs/trial-0-full-search/log.txt"
    assert log.stat().st_size < 2 << 20
    assert log.read_text().startswith("[10")  # so many bytes were left out


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda rows: {}, "expected predictions of valid, found none"),
        (lambda rows: 3, "expected predictions by split, found int"),
        (lambda rows: {"valid": np.zeros((2, 2))}, r"found an array of 2 x 2"),
        (lambda rows: {"valid": {"click": [0.5]}}, "expected the task 'buy', which is missing"),
        (lambda rows: 1 / 0, r"ZeroDivisionError: division by zero \(test_trainers.py:\d+\)"),
    ],
)
def test_a_function_that_fails_says_why(shop, handed, answer, reason):
    trainer = handed(fit=lambda config, seed, train, rows: answer(rows))
    with pytest.raises(TrainerError, match=reason):
        run_training(job_of(shop, trainer))


def test_a_training_goes_on_from_what_the_stage_before_kept(shop, handed, tmp_path):
    program = """
from pathlib import Path
before = Path(job["go_on_from"] or "/nowhere") / "steps"
steps = (int(before.read_text()) if before.is_file() else 0) + 1
if job["keep"]:
    (Path(job["keep"]) / "steps").write_text(str(steps))
print(job["budget"])
answer(lambda rows: by_price(rows) ** steps)
assert job["budget"]["amount"] == [2.5, 10][steps - 1], job["budget"]
"""
    trainer = handed(program, rungs={"unit": "epochs", "full": 10})
    first = job_of(shop, trainer, until=250, checkpoint=str(tmp_path / "0/0"))
    second = job_of(shop, trainer, resume=first.checkpoint)
    chances = [run_training(job).metrics["valid/click.brier"] for job in (first, second)]
    assert chances[0] != chances[1]


def test_a_training_that_cannot_be_stopped_is_not_done_twice(shop, handed, tmp_path):
    calls = []

    def fit(config, seed, train, rows):
        calls.append(len(train))
        return {**by_price(config, seed, train, rows), "costs": {"dollars": 3}}

    trainer = handed(fit=fit)
    first = job_of(shop, trainer, until=250, checkpoint=str(tmp_path / "0/0"))
    second = job_of(shop, trainer, resume=first.checkpoint)
    metrics = [run_training(job).metrics for job in (first, second)]
    assert metrics[0] == metrics[1]
    assert metrics[0]["cost/dollars"] == 3
    assert calls == [len(shop[2].split("train"))]


def test_rungs_of_rows_are_parts_of_train_that_contain_each_other(shop, handed):
    trainer = handed(fit=by_price, rungs={"unit": "rows"})
    schema = shop[2].schema
    part, larger, whole = (
        {*trainer.frame("train", schema, until)["row"]} for until in (250, 500, None)
    )
    assert part < larger < whole
    rows = len(shop[2].split("train"))
    assert [len(part), len(larger), len(whole)] == [round(rows / 4), round(rows / 2), rows]


def test_a_program_that_changed_is_refused(shop, handed, tmp_path):
    trainer = handed("answer(by_price)")
    (tmp_path / "train.py").write_text("pass")
    with pytest.raises(UserError, match="expected the program with which the run began, found"):
        run_training(job_of(shop, trainer))


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"by_key": ["seconds"]}, "by_key: expected columns that it gets from shop"),
        ({"conditional": ["click"]}, "conditional: expected tasks of shop with a parent"),
        ({"command": []}, "expected either a command or a function"),
        (
            {"rungs": {"unit": "rows", "full": 2}},
            "expected at most 1, all of train's rows, found 2",
        ),
        ({"name": "seesaw"}, "expected another name than 'seesaw'"),
        ({"folder": "nowhere"}, "folder: expected a folder, found none at"),
        ({"speed": 1}, "unknown key 'speed'"),
    ],
)
def test_a_file_that_is_wrong_is_refused(handed, keys, reason):
    with pytest.raises(UserError, match=reason):
        handed("", **keys)


def test_a_program_ends_with_the_process_that_began_it(shop, handed, tmp_path):
    """A driver that is killed leaves no training behind."""
    marker = tmp_path / "pid"
    trainer = handed(
        f"import os, time\nopen({str(marker)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    job = job_of(shop, trainer)
    code = (
        f"from {jobs.__name__} import run_training; import pickle, sys; "
        "run_training(pickle.load(sys.stdin.buffer))"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    worker.stdin.write(pickle.dumps(job))
    worker.stdin.close()
    deadline = time.monotonic() + 60
    while not (marker.is_file() and marker.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    process = int(marker.read_text())
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0]
        except FileNotFoundError:
            break
        if state == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the program still runs")

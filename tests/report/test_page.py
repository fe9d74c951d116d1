from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from cProfile import Profile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from bench.frontier.frontier import frontier
from bench.records import Failure, TrialRecord
from bench.report import page
from bench.report.build import build_view
from bench.report.cards import DETAILED, cards
from bench.report.page import document, write_page
from bench.report.tables import front_table
from bench.report.view import PageView

EVIL = "<img src=x onerror=alert(1)>"


class Reader(HTMLParser):
    """The elements of a page and what they hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data: dict[str, str] = {}
        self.shown = ""
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._script = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script:
            self.data[self._script] = self.data.get(self._script, "") + data
        else:
            self.shown += data


@pytest.fixture(scope="module")
def text(view: PageView) -> str:
    return document([view], "quick-7")


@pytest.fixture(scope="module")
def reader(text: str) -> Reader:
    return Reader(text)


def test_the_page_holds_one_copy_of_plotly_that_inflates_to_the_original(reader: Reader) -> None:
    assert gzip.decompress(base64.b64decode(reader.data["plotly"])).decode() == get_plotlyjs()
    assert sum(attributes.get("id") == "plotly" for _, attributes in reader.elements) == 1


def test_nothing_refers_outside(reader: Reader) -> None:
    for tag, attributes in reader.elements:
        assert tag not in ("img", "iframe", "object", "embed", "video", "audio", "source", "base")
        for name in ("src", "href", "action", "srcset", "poster"):
            assert re.fullmatch(r"#.*|data:,", attributes.get(name) or "#")
    assert "url(" not in reader.data["style"]
    assert "@import" not in reader.data["style"]


def test_the_policy_allows_no_request_and_only_this_script(reader: Reader) -> None:
    (policy,) = [a["content"] for tag, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(reader.data["script"].encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}' 'unsafe-eval'; " in policy
    assert "http" not in policy


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_embedded_values_read_back(reader: Reader, view: PageView) -> None:
    cards = unpacked(reader.data["census-income-0-cards"])
    assert set(cards["trials"]) == {str(trial.number) for trial in view.trials}
    trial, known = view.trial(view.front[0]), cards["trials"][str(view.front[0])]
    assert known["diagnosis"] == list(trial.diagnosis) != []
    assert known["title"].startswith(f"Trial {view.front[0]}: ")
    assert known["values"] == list(trial.values)
    assert len(known["measured"]) == 2
    spread = trial.confirm[0]
    assert spread is not None
    assert spread.interval is not None
    assert known["numbers"][0][1] == [spread.mean, spread.sd, spread.runs, *spread.interval]
    assert [(cards["names"][i], value) for i, value in known["params"]] == list(trial.params)
    assert [run["seed"] for run in known["replicates"]] == [run.seed for run in trial.detail.replicates] != []
    ids = {a["data-figure"] for _, a in reader.elements if "data-figure" in a}
    assert len(ids) == 10
    for id in ids:
        assert unpacked(reader.data[str(id)])["data"]


def test_all_ordered_pairs_of_objectives_can_be_chosen(make_view: Any, make_records: Any, make_objectives: Any) -> None:
    three = make_view(make_records(objectives=3), make_objectives(3))
    read = Reader(document([three], "three"))
    planes = [f"census-income-0-projection-{i}-{j}" for i in range(3) for j in range(3) if i != j]
    assert all(unpacked(read.data[id])["data"] for id in planes)
    assert sum(tag == "option" for tag, _ in read.elements) == 6


def test_the_table_has_the_front_and_what_was_confirmed(reader: Reader, view: PageView) -> None:
    ids = [attributes["data-id"] for tag, attributes in reader.elements if tag == "tr" and "data-id" in attributes]
    assert ids[: len(view.front)] == [str(id) for id in view.front]
    assert sorted(ids) == sorted(str(trial.id) for trial in view.trials if trial.on_front or trial.confirmed)


def test_the_table_shows_each_split_under_its_name(view: PageView) -> None:
    trial = next(each for each in view.trials if each.confirmed)
    row = re.search(rf'<tr class="[^"]*" data-id="{trial.id}">(.*?)</tr>', front_table(view), re.S)
    assert row is not None
    means = [str(spread.mean) for split in (trial.confirm, trial.test) for spread in split]
    means += [str(value) for value in trial.seen]
    assert re.findall(r'data-value="([^"]*)"', row[1])[3 : 3 + len(means)] == means


def test_every_table_and_figure_of_the_front_says_which_rows_it_is_on(reader: Reader, view: PageView) -> None:
    heads = re.findall(r'<th class="group"[^>]*>([^<]*)</th>', front_table(view))
    assert heads == ["confirmation rows", "test", "validation (search)"]
    plane = unpacked(reader.data["census-income-0-front"])["layout"]
    assert plane["xaxis"]["title"]["text"].endswith(">confirmation rows</span>")
    kinds = unpacked(reader.data["census-income-0-sharing-0"])["layout"]
    assert kinds["xaxis"]["title"]["text"].endswith(">validation (search)</span>")
    assert "confirmation rows, unseen by the search" in reader.shown


def test_ids_are_unique_with_the_same_dataset_twice(view: PageView) -> None:
    ids = [a["id"] for _, a in Reader(document([view, view], "twice")).elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_what_a_reader_looks_for_is_in_the_text(reader: Reader, view: PageView) -> None:
    assert view.picked is not None
    for words in (view.title, view.picked.reason, view.picked.command, *(value for _, value in view.made)):
        assert words in reader.shown
    for failed in view.failures:
        assert failed.reason in reader.shown
    for headline in view.headlines:
        assert headline.value in reader.shown


def test_the_same_view_gives_the_same_bytes(view: PageView, text: str) -> None:
    assert document([view], "quick-7") == text


def test_data_cannot_become_markup(
    make_view: Callable[..., PageView], make_records: Callable[..., list], make_objectives: Callable[..., tuple]
) -> None:
    def poisoned(record: TrialRecord) -> TrialRecord:
        config = record.config | {"sharing.kind": record.sharing + EVIL, "balancing.kind": "</script>" + EVIL}
        failure = record.failure and Failure("bug", f"</script>{EVIL}")
        params = record.params | {EVIL: f"</script>{EVIL}", "nan": float("nan")}
        evil = {"representation": {"cosine": -0.9, "below_zero": 1.0, "probes": 9}}
        diagnosis = {"probes": 9, "tasks": {}, "pairs": [{"tasks": [f"</script>{EVIL}", "income"], "blocks": evil}]}
        more = {"architecture": EVIL, "diagnosis": diagnosis if record.diagnosis else {}}
        return replace(record, config=config, failure=failure, params=params, **more)

    records = [poisoned(record) for record in make_records()]
    objectives = make_objectives()
    view = build_view(
        records, frontier(records, objectives), title=EVIL, dataset=EVIL, no_pick=EVIL, made={EVIL: f"</script>{EVIL}"}
    )
    read = Reader(document([view, view], EVIL))
    assert "img" not in {tag for tag, _ in read.elements}
    assert not any(name.startswith("on") for _, attributes in read.elements for name in attributes)
    scripts = [attributes for tag, attributes in read.elements if tag == "script"]
    assert len([attributes for attributes in scripts if "type" not in attributes]) == 1
    assert EVIL in read.shown


@pytest.mark.slow
def test_a_run_of_thousands_stays_below_four_megabytes(
    make_view: Callable[..., PageView],
    make_records: Callable[..., list],
    make_objectives: Callable[..., tuple],
    tmp_path: Path,
) -> None:
    view = make_view(make_records(5000, confirmed=40), make_objectives())
    page = write_page(view, tmp_path / "report.html")
    assert page.stat().st_size < 4_000_000
    assert "trials behind the front" in Reader(page.read_text(encoding="utf-8")).shown
    detailed = [trial for trial in cards(view)["trials"].values() if "curves" in trial]
    assert len(detailed) == DETAILED
    assert all(str(id) in {str(trial["number"]) for trial in detailed} for id in view.front)


@pytest.mark.slow
def test_twice_the_trials_take_about_twice_the_work(
    make_view: Callable[..., PageView], make_records: Callable[..., list], make_objectives: Callable[..., tuple]
) -> None:
    """Counted in calls, which no machine changes."""

    def calls(trials: int) -> int:
        records = make_records(trials, confirmed=8)
        profile = Profile()
        profile.enable()
        document([make_view(records, make_objectives())], "many")
        profile.disable()
        return sum(entry.callcount for entry in profile.getstats())

    few = calls(0)
    assert calls(400) - few < 2.5 * (calls(200) - few)


def test_a_page_that_fails_leaves_the_old_one(view: PageView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "runs" / "report.html"
    write_page([view], target, title="first")
    before = target.read_bytes()

    def broken(*_: object) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr(page, "section", broken)
    with pytest.raises(RuntimeError):
        write_page([view], target, title="second")
    assert target.read_bytes() == before
    assert list(target.parent.iterdir()) == [target]


def test_a_page_of_nothing_is_still_a_page(
    make_view: Callable[..., PageView], make_objectives: Callable[..., tuple]
) -> None:
    empty = make_view([], make_objectives(), no_pick="nothing to pick from: none of the 0 trials has completed")
    shown = Reader(document([empty], "empty")).shown
    assert "No trial has completed with a value yet." in shown
    assert "nothing to pick from" in shown
    assert Reader(document([], "none")).shown.count("none") >= 1


def test_it_is_said_where_trials_of_unequal_length_stand_beside_each_other(view: PageView) -> None:
    said = "3 trials that the search stopped early are shown as they were then"
    assert Reader(document([replace(view, stopped=3)], "by rungs")).shown.count(said) == 2
    assert said not in Reader(document([view], "full length")).shown

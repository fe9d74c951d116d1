"""A store that is slow, down, wrong or back later: the search is not held up, and in the end all is
there once.
"""

import random
import time
from dataclasses import replace

import pytest
from contents import content, everything_once
from found import found_in, history, put
from servers import RealServer, free_port, silent_server

from bench.app.tracking.logbook import Logbook
from bench.app.tracking.mlflow_store import MlflowStore
from bench.core.records import RungResult


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = RealServer(tmp_path_factory.mktemp("server"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def records(make_trial, make_failed):
    """Trials at three rungs, one that failed, and one that was confirmed."""
    trials = [make_failed(0)]
    for number, reached in enumerate((1, 2, 3, 1, 3), start=1):
        whole = make_trial(number, 0.6 + number / 100, 0.8 - number / 100)
        rungs = tuple(
            RungResult(
                100 * 2**r,
                10 * r + number,
                {k: v - 0.1 / (r + 1) for k, v in whole.metrics.items()},
                2.0,
            )
            for r in range(reached)
        )
        state = "completed" if reached == 3 else "pruned"
        trials.append(replace(whole, state=state, rungs=rungs, metrics=rungs[-1].metrics))
    trials[3] = replace(
        trials[3], replicates=make_trial(3, replicates=((0.7, 0.7), (0.71, 0.72))).replicates
    )
    return trials


def steps_of(records):
    """What a driver tells: each trial at its first rung, then at its second, .. and at last as it
    ended.
    """
    for reached in (1, 2, 3):
        for record in records:
            if len(record.rungs) > reached or (
                len(record.rungs) == reached and record.state == "pruned"
            ):
                rungs = record.rungs[:reached]
                curve = record.curve[: max(0, reached - 1)]
                waiting = {"state": "waiting", "replicates": (), "speed": {"peak": float(reached)}}
                yield replace(
                    record, rungs=rungs, metrics=rungs[-1].metrics, curve=curve, **waiting
                )
    yield from records


def concluded(section, records, folder):
    page = folder / "report.html"
    page.write_text("<!doctype html><title>front</title>")
    put(section, found_in(records, folder=folder))


def send(uri, asked, records, folder, live=True, patience=60):
    """Sends all at once, as `seesaw sync` does."""
    logbook = Logbook(uri, folder, live=live)
    section = logbook.section(history(by_rungs=True), **asked)
    section.log(records, 100)
    concluded(section, records, folder)
    return logbook.finish("FINISHED", 1_900_000_100.0, patience), logbook


def send_live(uri, asked, records, folder, between=lambda step: None, patience=60):
    logbook = Logbook(uri, folder)
    section = logbook.section(history(by_rungs=True), **asked)
    for step, record in enumerate(steps_of(records)):
        between(step)
        section.log([record], 1 + max((rung.order for rung in record.rungs), default=0))
    concluded(section, records, folder)
    return logbook.finish("FINISHED", 1_900_000_100.0, patience), section


@pytest.mark.slow
def test_what_is_sent_later_equals_what_is_logged_live(server, home, asked, records):
    done, _ = send_live(None, asked, records, home, lambda step: time.sleep(0.2))
    assert done
    live = content(f"sqlite:///{home / 'mlflow.db'}", asked["identity"]["run"], home / "live")
    everything_once(live, records)
    for number in (3, 5):
        (_, _, _, _, history, _) = live["trial", str(number), None, None][0]
        assert [step for step, _ in history["valid/click.auc"]] == [100, 200, 400]
        assert len(history["curve/loss/click"]) == 2
        assert len(history["speed/train_samples_per_s"]) == 1

    dead = f"http://127.0.0.1:{free_port()}"
    done, logbook = send(dead, asked, records, home, patience=5)
    assert not done
    assert "could not open the experiment" in logbook.trouble

    done, logbook = send(server.uri, asked, records, home, live=False)
    assert done
    assert logbook.sent == {"trials": 6, "replicates": 2, "hypervolumes": 10, "fronts": 1}
    assert content(server.uri, asked["identity"]["run"], home / "later") == live
    done, logbook = send(server.uri, asked, records, home, live=False)
    assert done
    assert not +logbook.sent  # once
    assert content(server.uri, asked["identity"]["run"], home / "again") == live


class Faulty:
    """MLflow's client; a third of all calls fail, and `lost` means after it was carried out.

    Which ones is drawn: if it were each third, a send of three calls could fail for ever.
    """

    def __init__(self, client, fault, seen):
        self.client, self.fault, self.seen = client, fault, seen

    def __getattr__(self, method):
        def call(*arguments, **options):
            self.seen.append(method)
            spoilt = random.Random(len(self.seen)).random() < 1 / 3
            answer = (
                None
                if spoilt and self.fault == "error"
                else getattr(self.client, method)(*arguments, **options)
            )
            if spoilt:
                raise ConnectionError(self.fault)
            return answer

        return call


@pytest.mark.parametrize("fault", ["error", "lost"])
def test_a_store_that_fails_a_third_of_all_times_has_everything_once(
    home, asked, records, fault, monkeypatch
):
    opened, seen = MlflowStore._open, []
    with monkeypatch.context() as patch:
        patch.setattr(MlflowStore, "_open", lambda self: Faulty(opened(self), fault, seen))
        patch.setattr("bench.app.tracking.mlflow_store.PAUSE", 0.0)
        done, _ = send_live(None, asked, records, home)
        for _ in range(20):  # the run is over; what is left is sent by `seesaw status RUN --sync`
            if done:
                break
            done, _ = send(None, asked, records, home, live=False)
    assert done
    assert len(seen) > 20
    everything_once(
        content(f"sqlite:///{home / 'mlflow.db'}", asked["identity"]["run"], home / "files"),
        records,
    )


def test_a_server_that_never_answers_holds_nothing_up(tmp_path, asked, records):
    with silent_server() as (port, accepted):
        logbook = Logbook(f"http://127.0.0.1:{port}", tmp_path)
        section = logbook.section(history(by_rungs=True), **asked)
        deadline = time.monotonic() + 120
        while not accepted and time.monotonic() < deadline:
            time.sleep(0.05)
        assert accepted  # it is being waited for while the search goes on
        for record in steps_of(records):
            section.log([record], 100)
        assert len(section.records) == len(records)
        assert logbook.store.answered == 0
        assert section.there == 0
        assert not logbook.finish("FINISHED", 1.0, patience=0.5)

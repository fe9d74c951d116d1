"""MLflow's server with a package behind it: the same numbers as offline, and a sentence for rows
that do not fit.
"""

import threading

import numpy as np
import pytest
from server import served
from serving_toys import FUNNEL, measured_package, raw_rows, raw_split

from bench.app.tracking.model_registry import save_model
from bench.data import load_card
from bench.deciding.score import Score
from bench.ledger.fusion import fused

pytestmark = pytest.mark.slow  # a server takes seconds to start; the guide's test has one, too
REQUESTS, CLIENTS = 10_000, 4


@pytest.fixture(scope="module")
def server(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    save_model(package, folder / "model")
    assert not [*folder.rglob("*.pkl"), *folder.rglob("*.pickle")]
    with served(str(folder / "model"), folder / "server.log") as running:
        yield running


@pytest.fixture(scope="module")
def rows():
    return raw_rows().slice(0, 20).to_pylist()


@pytest.mark.parametrize("kind", ["blend", "composite", "trees"])
def test_the_served_order_is_the_measured_one_over_http(kind, store, tmp_path):
    """Raw rows of test come back in the order in which a run measures the fusion of the predictions
    that it keeps.
    """
    weights = {"click": 0.7, "purchase": 0.3}
    rates = {"click": 0.3, "purchase": 0.02}
    tasks = store.schema.tasks
    score = Score.fusion("sum", weights, rates, tasks)
    package, joint = measured_package(kind, tmp_path / "package", store, score=score)
    measured = fused("sum", joint, list(weights.values()), list(rates.values()))
    save_model(package, tmp_path / "model")
    with served(str(tmp_path / "model"), tmp_path / "server.log") as running:
        status, answer = running.rows(raw_split(load_card(FUNNEL), {}, "test").to_pylist())
    assert status == 200
    scores = np.array([row["score"] for row in answer["predictions"]])
    np.testing.assert_allclose(scores, measured, rtol=1e-5)
    in_order = measured[np.argsort(-scores)]
    assert (np.diff(in_order) <= 1e-5 * in_order[1:]).all(), (
        "rows apart by more than rounding are in another order"
    )
    assert len(np.unique(scores)) > len(scores) // 2


def test_ten_thousand_requests_neither_fail_nor_leak(server, package, rows):
    expected = package.scorer().predict(rows).to_numpy()
    wrong: list[object] = []

    def client(number, requests):
        for request in range(requests):
            place = (number + request) % len(rows)
            status, answer = server.rows([rows[place]])
            answered = list(answer["predictions"][0].values()) if status == 200 else answer
            if status != 200 or np.abs(np.array(answered) - expected[place]).max() > 1e-5:
                wrong.append((status, answered))

    def all_clients(requests):
        threads = [
            threading.Thread(target=client, args=(number, requests // CLIENTS))
            for number in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    all_clients(REQUESTS // 10)  # what a server takes once
    before = server.memory_mb()
    all_clients(REQUESTS)
    after = server.memory_mb()
    print(
        f"\n{REQUESTS:,} requests from {CLIENTS} clients: {before:.0f} MB before, {after:.0f} MB "
        "after"
    )
    assert not wrong
    assert after < before + 30

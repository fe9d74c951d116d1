"""A training on several processes: equal to one process's, with checkpoints of any number of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from typer.testing import CliRunner

from bench.cli.app import app
from bench.core.errors import TrainingError, UserError
from bench.core.objectives import parse
from bench.core.records import Job
from bench.data import Store, load_card, prepare
from bench.system.progress import Silent
from bench.testing.training import SMALL, VALUES, MemoryStore
from bench.training.config import TrialConfig
from bench.training.launch import check_ranks, trained_on_ranks
from bench.training.loop import Trainer
from bench.training.ranks import RankedTrainer, Ranks

STEPS = 4
BATCH = 64
CASES: list[dict[str, Any]] = [
    {"sharing.kind": "single_task"},
    {"sharing.kind": "shared_embeddings", "balancing.kind": "pcgrad"},
    {"sharing.kind": "ple", "balancing.kind": "uncertainty"},  # parameters of its own
    {"sharing.kind": "mmoe", "balancing.kind": "famo"},  # looks at the batch again
    {"sharing.kind": "mmoe", "balancing.kind": "rlw"},  # draws random numbers
    {"sharing.kind": "mmoe", "balancing.kind": "mgda"},
    {"sharing.kind": "stem", "balancing.kind": "gradnorm"},
    {"sharing.kind": "star", "balancing.kind": "nash_mtl"},
    {"funnel.kind": "escm2_dr"},
    {"funnel.kind": "entire_space", "balancing.kind": "mgda"},  # ties losses
    {"funnel.kind": "aitm", "balancing.kind": "upgrad"},  # ties towers
    {"loss.kind": "bpr"},  # compares samples of a batch
    {"loss.kind": "listwise", "balancing.kind": "cagrad"},
    {"ensemble.members": 3},
    {"values": True, "sharing.kind": "mmoe", "regression_loss.kind": "bins"},  # regressions, weights, thinned negatives
    {"values": True, "funnel.kind": "entire_space", "balancing.kind": "mgda", "regression_loss.kind": "quantile"},
    {"optim.embedding_optimizer": "adagrad", "optim.embedding_l2": 0.1},
    {"optim.embedding_optimizer": "sgd", "optim.clip": 0.1},
]


def made(case: dict[str, Any], ranks: Ranks | None = None) -> Trainer:
    """A trainer of a case on rows that batches do not divide, without dropout, whose masks differ by rank."""
    case = dict(case)
    values = case.pop("values", False)
    store = cast(Store, MemoryStore(250, VALUES, weights=2) if values else MemoryStore(250))
    config = TrialConfig.parse(SMALL | {"tower.dropout": 0.0, "optim.lr": 0.002} | case)
    about = (store, config, [parse("click.auc", store.schema.tasks, "test")], 1)
    return Trainer(*about) if ranks is None else RankedTrainer(ranks, *about)


def tensors(state: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """All arrays of a state that training changes."""
    if isinstance(state, dict):
        for name, value in state.items():
            if name not in ("random", "course", "diagnosis", "measured"):
                yield from tensors(value, f"{path}/{name}")
    elif isinstance(state, list):
        for at, value in enumerate(state):
            yield from tensors(value, f"{path}/{at}")
    elif isinstance(state, Tensor):
        yield path, state.double().numpy()


def on_a_rank(rank: int, world: int, folder: str, cases: list[dict[str, Any]]) -> list[Any]:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet-{world}", world_size=world, rank=rank)
    found = []
    for at, case in enumerate(cases):
        trainer = made(case, Ranks(rank, world))
        left = Path(folder) / f"{at}.safetensors"
        if left.exists():  # of other ranks, to go on from
            trainer.load(left)
        trainer.run_to(STEPS // 2 * BATCH)
        trainer.save(left)
        trainer.run_to(STEPS * BATCH)
        found.append((dict(tensors(trainer.state_dict())), trainer.metrics("test")))
        trainer.wait()
    dist.destroy_process_group()
    return found


def together(world: int, folder: Path, cases: list[dict[str, Any]]) -> list[list[Any]]:
    """What each rank found of each case."""
    with ProcessPoolExecutor(world, mp_context=multiprocessing.get_context("spawn")) as pool:
        return [each.result() for each in [pool.submit(on_a_rank, r, world, str(folder), cases) for r in range(world)]]


@pytest.mark.slow
def test_ranks_train_what_one_process_trains(tmp_path: Path) -> None:
    by_rank = together(2, tmp_path, CASES)
    for case, (state, metrics), (_, of_other) in zip(CASES, *by_rank, strict=True):
        alone = made(case)
        alone.run_to(STEPS * BATCH)
        expected = dict(tensors(alone.state_dict()))
        assert state.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(state[name], value, rtol=1e-5, atol=1e-5, err_msg=f"{case} {name}")
        assert metrics == pytest.approx(alone.metrics("test"), abs=1e-5)
        assert metrics == of_other


@pytest.mark.slow
def test_a_checkpoint_goes_on_on_any_number_of_ranks(tmp_path: Path) -> None:
    cases = [CASES[5]]
    together(2, tmp_path, cases)
    left = tmp_path / "0.safetensors"
    alone = made(cases[0])
    alone.load(left)
    assert alone.course.step == STEPS // 2
    alone.run_to(STEPS * BATCH)
    of_three = together(3, tmp_path, cases)[0][0]
    for name, value in tensors(alone.state_dict()):
        np.testing.assert_allclose(of_three[0][name], value, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_the_command_line_gives_what_one_process_gives(tmp_path: Path) -> None:
    command = ["train", "synthetic-funnel@rows=4000", "--home", str(tmp_path), "--json", "--threads", "2"]
    for option in ("tower.dropout=0", "optim.epochs=1", "optim.precision=fp32"):
        command += ["--set", option]
    one, two = (json.loads(CliRunner().invoke(app, [*command, "--ranks", ranks]).stdout) for ranks in "12")
    assert two["metrics"]["test/click.auc"] == pytest.approx(one["metrics"]["test/click.auc"], abs=1e-4)
    assert [point["samples"] for point in two["curve"]] == [point["samples"] for point in one["curve"]]


@pytest.mark.slow
def test_a_process_that_dies_ends_the_training_with_its_reason(tmp_path: Path) -> None:
    store = prepare(load_card("synthetic-funnel@rows=4000"), tmp_path)
    tasks = tuple(task.name for task in store.schema.tasks)
    config = TrialConfig.parse({"optim.epochs": 500, "optim.patience": 1000}).dotted()
    job = Job(0, 0, config, str(store.path), 0, ("valid",), ("click.auc",), tasks, 2, device="cpu")

    def kill_one() -> None:
        me = psutil.Process()
        until = time.monotonic() + 60
        while time.monotonic() < until:
            own = [each for each in me.children() if "spawn_main" in " ".join(each.cmdline())]
            if len(own) >= 2:
                time.sleep(1)
                os.kill(own[-1].pid, signal.SIGKILL)
                return
            time.sleep(0.1)

    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(TrainingError, match="SIGKILL"), trained_on_ranks(job, 2, Silent()):
        pass
    killer.join()


def test_what_ranks_cannot_do_is_said() -> None:
    config = TrialConfig.parse(SMALL | {"balancing.kind": "graddrop", "sharing.kind": "mmoe"})
    with pytest.raises(UserError, match="number by number, or looks at halves"):
        check_ranks(config, 2, BATCH)
    with pytest.raises(UserError, match="expected 1 to 64, the samples of a batch, found 65"):
        check_ranks(TrialConfig.parse(SMALL), 65, BATCH)

"""Weak scaling of a search under Ray: two nodes with twice the trials of one node, on this machine.

    python studies/nodes.py [--data CARD] [--raw DIR] [--home DIR] [--rounds 3] [--write
    docs/studies/full-scale.md]

A node has one processor. Every trial trains the same model for one epoch. Seconds go from the first
trial's begin to the last one's end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from speed.table import replace, writer

TRIALS = 3
"""For each node."""
SUITE = """
title = "One model, trained again and again"
space = "quick"

[[datasets]]
id = "{data}"

[search]
sampler = "random"
lowest = 0

[confirm]
replicates = 0

[set]
"sharing.kind" = "mmoe"
"sharing.mmoe.experts" = 4
"sharing.mmoe.layers" = "64"
"balancing.kind" = "static"
"interaction.kind" = "none"
"optim.epochs" = 1
"""


def seconds(nodes: int, name: str, arguments: argparse.Namespace) -> float:
    """Of a search with `TRIALS` trials for each node of a cluster."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        for _ in range(1, nodes):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        where = ["--home", str(arguments.home)]
        options = [
            "--executor",
            "ray",
            "--address",
            cluster.address,
            "--workers",
            str(nodes),
            "--name",
            name,
        ]
        options += [
            "--trials",
            str(TRIALS * nodes),
            *(["--raw", str(arguments.raw)] if arguments.raw else []),
        ]
        command = [
            sys.executable,
            "-m",
            "bench",
            "run",
            str(arguments.home / "suite.toml"),
            *options,
            *where,
        ]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    finally:
        cluster.shutdown()
    (log,) = (arguments.home / "runs" / name).glob("*/study.jsonl")
    outcomes = [event for event in map(json.loads, log.open()) if event["event"] == "outcome"]
    return float(
        max(event["started"] + event["seconds"] for event in outcomes)
        - min(event["started"] for event in outcomes)
    )


def main() -> None:
    """Measures, prints and writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--data", default="synthetic-funnel@rows=1_000_000")
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    options.home.mkdir(parents=True, exist_ok=True)
    (options.home / "suite.toml").write_text(SUITE.format(data=options.data))
    seconds_by_round = [
        [seconds(nodes, f"nodes-{nodes}-{turn}", options) for nodes in (1, 2)]
        for turn in range(options.rounds)
    ]
    times = [2 * one_node / two_nodes for one_node, two_nodes in seconds_by_round]
    lines = [
        (
            f"| round | 1 node, {TRIALS} trials | 2 nodes, {2 * TRIALS} trials | trials a second, "
            "2 nodes over 1 |"
        ),
        "|---|---|---|---|",
        *(
            f"| {turn + 1} | {one_node:.0f} s | {two_nodes:.0f} s | {ratio:.2f} |"
            for turn, ((one_node, two_nodes), ratio) in enumerate(
                zip(seconds_by_round, times, strict=True)
            )
        ),
        f"| median | | | {statistics.median(times):.2f} |",
    ]
    print("\n".join(lines))
    replace(options.write, "nodes", "\n".join(lines))


if __name__ == "__main__":
    main()

"""Is the lead of a loss due to its configuration? Log loss with the configuration that was chosen
for another loss.

    python studies/loss_control.py --raw DIR --out FILE.jsonl [--write docs/studies/losses.md]

`FILE.jsonl` is that of `inputs.py`, which has trained the variants. Log loss is trained on the same
seeds, one thread.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from inputs import interval, store_of, trained
from speed.table import replace, writer

from bench.core.system.machine import keep_freed_memory

DATA = "kuairand-pure@late-window"
OUTCOMES = ("click.auc", "long_view.ctcvr.auc", "click.ndcg@5", "long_view.ndcg@5")


def main() -> None:
    """Trains, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--variant", nargs="+", default=["listwise", "jrc", "bpr"])
    parser.add_argument("--out", type=Path, default=Path("inputs.jsonl"))
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    store, gains = store_of(DATA, options.home, options.raw), dict[tuple[str, str], list[float]]()
    for line in map(json.loads, options.out.read_text().splitlines()):
        data, variant, key = line["key"]
        if data == DATA and variant in options.variant and line["replicate"]:
            config = json.loads(key.partition(" ")[2])
            plain = {name: value for name, value in config.items() if not name.startswith("loss.")}
            metrics = trained(store, plain, variant, line["replicate"])["metrics"]
            for name in OUTCOMES:
                gain = line["metrics"][f"test/{name}"] - metrics[f"test/{name}"]
                gains.setdefault((name, variant), []).append(gain)
    rows = [f"| ahead of `log` with its configuration, .0001 | {' | '.join(options.variant)} |"]
    rows.append("|---" * (1 + len(options.variant)) + "|")
    for name in OUTCOMES:
        rows.append(
            f"| {name} | {' | '.join(interval(gains[name, variant]) for variant in options.variant)} "
            "|"
        )
    print("\n".join(rows))
    replace(options.write, "control", "\n".join(rows))


if __name__ == "__main__":
    main()

"""Files of data: `seesaw data prepare`, `remove`, `synth` and `history`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from bench.app.cli.options import DatasetArgument, Home, Raw
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.system.home import resolve_home, writable_home
from bench.core.system.progress import duration


def prepare(
    dataset: DatasetArgument,
    raw: Raw = None,
    home: Home = None,
) -> CommandOutput:
    """Fetch and encode a data set; show its rows, positives and rates."""
    from bench.data import load_card
    from bench.data import prepare as prepare_store

    store = prepare_store(load_card(dataset), writable_home(home), raw, TerminalProgress())
    manifest = store.manifest
    yield {"path": str(store.path)} | manifest
    rows = []
    for split, facts in manifest["splits"].items():
        for task, counts in facts["tasks"].items():
            rows.append([split, facts["rows"], task, counts.get("positives"), counts.get("rate")])
    print_table(["split", "rows", "task", "positives", "rate"], rows, store.key)
    say(
        f"prepared in {duration(manifest['seconds'])}, peak memory "
        f"{manifest['peak_memory_mb']:,.0f} MB"
    )
    say(f"store: {store.path}", whole=True)


def remove(dataset: DatasetArgument, home: Home = None) -> CommandOutput:
    """Free the prepared files of a data set."""
    from bench.data import load_card
    from bench.data.store import prepared_keys, remove_stores

    folder, key = resolve_home(home), dataset
    if dataset not in prepared_keys(folder):  # the card of a key may be gone
        key = load_card(dataset).key
    removed = remove_stores(folder, key)
    yield {"removed": removed}
    for store in removed:
        say(f"removed {store['path']}, {store['size_mb']:,.1f} MB")
    if not removed:
        say(f"nothing to remove: {dataset} is not prepared")


def synth(
    dataset: Annotated[str, typer.Argument(help="Format: ali-ccp.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the files.")],
    rows: Annotated[int, typer.Option(help="Impressions, train and test together.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same bytes.", min=0)] = 0,
    click_rate: Annotated[float, typer.Option(help="Share of clicks among impressions.")] = 0.04,
    buy_rate: Annotated[float, typer.Option(help="Share of purchases among clicks.")] = 0.005,
) -> CommandOutput:
    """Write generated raw files in the format of a public data set."""
    from bench.data.synthetic import synthesise

    parameters = {"rows": rows, "seed": seed, "click_rate": click_rate, "buy_rate": buy_rate}
    facts = synthesise(dataset, out, parameters, TerminalProgress())
    size = sum(path.stat().st_size for path in out.iterdir())
    yield {"dataset": dataset, "path": str(out), "bytes": size, "files": facts}
    headers = list(next(iter(facts.values())))
    table_rows = [[name, *counts.values()] for name, counts in facts.items()]
    print_table(["file", *headers], table_rows, dataset)
    say(f"{size / 1e6:,.1f} MB in {out}")


def history(
    card: Annotated[str, typer.Argument(help="A card with [history]: a name or a path.")],
    out: Annotated[Path, typer.Option(help="The parquet file to write.")],
    raw: Annotated[
        Path | None, typer.Option(help="Folder of the card's files; default: fetch them.")
    ] = None,
    until: Annotated[
        float, typer.Option(help="Keep rows before this time, in the card's unit.")
    ] = math.inf,
    home: Home = None,
) -> CommandOutput:
    """Write the history of every group, for `seesaw score --history`."""
    from bench.data import load_card
    from bench.serve.kept_history import write_history

    rows = write_history(load_card(card), out, resolve_home(home), raw, until, TerminalProgress())
    yield {"out": str(out), "rows": rows}
    say(f"{out}: {rows:,} rows")
    say(f"next: seesaw score MODEL FILES --history {out} --out FOLDER")

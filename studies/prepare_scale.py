"""Speed and peak memory of preparing generated data at several sizes, and a line-by-line reader of
Ali-CCP beside it.

    python studies/prepare_scale.py [--format ali-ccp csv parquet] [--rows 1000000 5000000]
    [--scratch DIR]
        [--write docs/studies/data-scale.md]

Each size is generated and prepared by the command line in processes of their own, so that a peak is
that of one preparation and nothing else; compiled code is warmed on a small set first. The slow
twin reads the train pair of a small set. Generated files and stores are removed as soon as they are
measured.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import takewhile
from pathlib import Path

from speed.table import replace, writer

from bench.core.system.progress import Silent
from bench.data import load_card, parse_card
from bench.data.readers.ali_ccp import COMMON, SKELETON, read_ali_ccp

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data"))
import generated_log
from ali_ccp_line_by_line import rows as line_by_line

SMALL = 100_000
HEADER = (
    (
        "| format | rows | raw files, MB | generating, s | preparing, s | rows/s | MB/s | peak "
        "memory, MB | store, MB |"
    ),
    "|---|---|---|---|---|---|---|---|---|",
)


def seesaw(*arguments: str) -> dict[str, object]:
    """Runs one command and gives its JSON document."""
    command = [sys.executable, "-m", "bench", *arguments, "--json"]
    document: dict[str, object] = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    )
    return document


def text_mb(raw: Path) -> float:
    """Size of the raw text."""
    return (
        sum(path.stat().st_size for path in raw.iterdir() if path.suffix in (".csv", ".parquet"))
        / 1e6
    )


def generate(format: str, rows: int, raw: Path) -> str:
    """Writes raw files; returns what to prepare."""
    if format == "ali-ccp":
        seesaw("data", "synth", "ali-ccp", "--rows", str(rows), "--out", str(raw))
        return "ali-ccp"
    return str(generated_log.write(rows, raw, format))


def measured(format: str, rows: int, scratch: Path) -> str:
    """A line of the table."""
    raw, home = scratch / "raw", scratch / "home"
    started = time.perf_counter()
    card = generate(format, rows, raw)
    generated, size = time.perf_counter() - started, text_mb(raw)
    manifest = seesaw("data", "prepare", card, "--raw", str(raw), "--home", str(home))
    seconds, store = float(manifest["seconds"]), Path(str(manifest["path"]))  # type: ignore[arg-type]
    on_disk = sum(path.stat().st_size for path in store.rglob("*.npy")) / 1e6
    shutil.rmtree(raw)
    shutil.rmtree(home)
    return (
        f"| {format} | {rows:,} | {size:,.0f} | {generated:.0f} | {seconds:.1f} | "
        f"{rows / seconds:,.0f} | {size / seconds:.0f} | {float(manifest['peak_memory_mb']):,.0f} "
        f"| {on_disk:,.0f} |"  # type: ignore[arg-type]
    )


def against_twin(scratch: Path) -> str:
    """What reading the same pair of files takes both readers, in one sentence."""
    raw = scratch / "raw"
    seesaw("data", "synth", "ali-ccp", "--rows", str(SMALL), "--out", str(raw))
    skeleton, common = raw / "sample_skeleton_train.csv", raw / "common_features_train.csv"
    slots = dict.fromkeys((*COMMON, *SKELETON), 5)
    values = load_card("ali-ccp@position").model_dump(
        mode="json", by_alias=True, exclude_unset=True
    )
    values["columns"] = {field: {"kind": "multi-valued"} for field in slots}
    values["columns"] |= {f"{field}.value": "numeric" for field in slots}
    card = parse_card(values, "here")
    paths, name = {file.name: [raw / file.name] for file in card.files}, skeleton.name
    durations = []
    for _ in range(3):
        started = time.perf_counter()
        parts = takewhile(
            lambda part: part.file == name, read_ali_ccp(card, paths, Silent(), folder=scratch)
        )
        read = sum(part.table.num_rows for part in parts)
        durations.append(time.perf_counter() - started)
    started = time.perf_counter()
    slow_read = sum(1 for _ in line_by_line(skeleton, common, slots))
    slow = time.perf_counter() - started
    assert read == slow_read
    size = (skeleton.stat().st_size + common.stat().st_size) / 1e6
    shutil.rmtree(raw)
    fast = min(durations)
    return (
        f"Reading and joining one pair of files alone ({read:,} impressions, {size:.0f} MB of "
        f"text): {fast:.2f} s, {size / fast:.0f} MB/s; line by line in Python {slow:.1f} s, "
        f"{size / slow:.0f} MB/s: {slow / fast:.0f} times as long."
    )


def main() -> None:
    """Measures, and puts the tables into the document."""
    parser = writer(__doc__)
    parser.add_argument("--format", nargs="+", default=["ali-ccp", "csv", "parquet"])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--scratch", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        scratch = Path(folder)
        for format in options.format:
            lines = list(HEADER)
            measured(format, SMALL, scratch)  # compiled code is kept from here on
            for rows in options.rows:
                lines.append(measured(format, rows, scratch))
                print(lines[-1], flush=True)
            if format == "ali-ccp":
                lines += ["", against_twin(scratch)]
                print(lines[-1], flush=True)
            replace(options.write, format, "\n".join(lines))


if __name__ == "__main__":
    main()

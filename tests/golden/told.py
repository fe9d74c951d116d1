"""What commands and pages say of the stored runs, word by word. `remake.py told` writes it down."""

import io
import json
import lzma
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from bench import __version__

TOLD = Path(__file__).parent / "told.json.xz"
DECIDE = (
    "decide LOG --label click --label buy --parent buy=click --model today=p_click,p_buy --model new=q_click,q_buy "
    "--weights 3*p_click+40*p_buy --group request --segment country --units user --time day --trained-until 3 "
    "--value click=1 --value buy=9"
)
SECOND = (
    "decide LOG --label click --label buy --model today=z_click,p_buy --model new=q_click,q_buy --today today "
    "--model more=q_click,p_buy --amount buy=bid --joint buy --parent buy=click --part part --random shown "
    "--propensity chance --unseen --outcome click.ndcg@3 --outcome buy.value@20% --group request --sampling 0.5 "
    "--no-recalibration"
)
CARDS = (
    "--label buy --parent buy=click --time day --group request --valid 0.2 --test 0.3 --id log; --group user; "
    "--label country=FR --logged old --split-column user --split hash; --split random --group request --title Shop; "
    "--label bid --split column --split-column fold --time day; --split column --split-column fold --rows 300; "
    "--split files; --time country; --label click; --parent buy=click; --separator ;;; --valid 0.9 --test 0.2"
)
COMMANDS = (
    "spaces quick --dataset synthetic-funnel; datasets synthetic-funnel; datasets --remove; frontier watched --full; "
    "frontier two --heads --full; frontier two --csv OUT.csv; frontier; frontier two --experiment x; "
    "frontier --experiment x --csv OUT.csv; frontier two --tracking x; status rungs; status two; "
    "status two --page --json; report alone --out OUT.html; pick unconfirmed; pick two --full; pick alone; "
    "pick two --value click=1 --value like=3; pick two --maximize click.recall@10% --at-least like.recall@10%=0.1; "
    "pick two --at-least click.recall@10%=0.9; pick two --value click=1 --maximize like.recall@10%; "
    "pick two --value share=1; pick two --value click=0; diagnose two; diagnose alone --all; diagnose two 3; "
    "diagnose two 3 --all; compare two packaged; compare two --by sharing; compare alone; compare two --out OUT.txt; "
    "compare two watched four rungs --by sharing --out OUT.html; compare two watched --by run --out OUT.csv"
)
COMMANDS = (
    *(*COMMANDS.split("; "), DECIDE, SECOND, f"{SECOND} --toml", f"{SECOND} --parent buy", f"{SECOND} --file x.toml"),
    *(
        "decide --seed 3",
        "decide x.csv",
        *(f"card LOG --label click --out OUT.toml {each}" for each in CARDS.split("; ")),
    ),
)
"""OUT is a file of which what is written is told, too."""
LOG = "decide LOG --label click --label buy --model today=p_click,p_buy --model new=q_click,q_buy"
OPTIONS = {
    LOG: "--group request; --units user; --time day; --part part; --segment country; --random shown; --seed 3; "
    "--propensity chance; --value click=1 --value buy=9; --amount click=bid; --today new; --score old; --sampling 0.5; "
    "--weights q_click; --unseen; --outcome click.recall@20%; --parent buy=click; --policy POLICY; "
    "--model more=q_click,p_buy",
    f"{LOG} --parent buy=click": "--given buy; --joint buy",
    f"{LOG} --time day": "--trained-until 3",
    "pick two": "--policy POLICY; --value click=1; --maximize like.recall@10%; --at-least click.recall@10%=0.2; "
    "--at-most cost/parameters=2000",
    "diagnose alone": "0",
    "compare two": "packaged; --by run",
    "spaces": "--dataset census-income",
}
"""By command its options."""
PAGES = ("two", "watched", "decide", "compare", "live", "notebook")
NUMBER = re.compile(r"(?<![\w.])(\d[\d,]*\.?\d*|\.\d+)")


def told(home, name):
    """What a command or a page says. Without what depends on the machine: home, widths of tables, packed data."""
    text = _page(home, name) if name in PAGES else _said(home, name)
    return re.sub(r"[ \u2500-\u257f]+", " ", text.replace(str(home), "HOME").replace(__version__, "VERSION"))


def apart(was, now):
    """Where two texts differ by more than the last digit of a number."""
    for old, new in zip(was.splitlines(), now.splitlines(), strict=False):
        first, second = NUMBER.split(old), NUMBER.split(new)
        pairs = zip(first[1::2], second[1::2], strict=False)
        if first[::2] != second[::2] or not all(map(_alike, *zip(*pairs, strict=True)) if first[1:] else ()):
            yield f"{old!r}, now {new!r}"
    if len(was.splitlines()) != len(now.splitlines()):
        yield "one has more lines"


def _alike(one, other):
    digits, (first, second) = len(one.partition(".")[2]), (float(each.replace(",", "")) for each in (one, other))
    return abs(first - second) <= max(1e-9 * abs(first), 1.01 * 10.0**-digits if digits else 0)


def _said(home, command):
    from bench.cli import main

    log = home / "log.csv"
    if not log.is_file():
        write_log(log)
    policy = home / "policy.toml"
    policy.write_text('rule = "utopia"\n[guard]\nconfidence = 0.6\n')
    words = command.replace("LOG", str(log)).replace("POLICY", str(policy)).replace("OUT", str(home / "out")).split()
    out, err = io.StringIO(), io.StringIO()
    given = [] if words[0] in ("spaces", "decide", "card") else ["--home", str(home)]
    with redirect_stdout(out), redirect_stderr(err), patch("sys.argv", ["seesaw", *words]):
        code = main([*words, *given])
    written = [home / Path(word).name for word in words if Path(word).stem == "out"]
    more = [_markup(each.read_text(encoding="utf-8")) for each in written if each.is_file()]
    for each in written:
        each.unlink(missing_ok=True)
    return "\n".join([str(code), out.getvalue() + err.getvalue(), *more])


def _page(home, name):
    from bench.api import load_run
    from bench.report.comparison import comparison_document
    from bench.report.page import document
    from bench.run.comparing import compare_runs
    from bench.run.folder import Run
    from bench.run.page import view_of
    from bench.run.status import in_words, status_of

    if name == "notebook":
        _said(home, "decide LOG --toml --label click --label buy --model a=p_click,p_buy")  # which writes the log
        return _notebook(home)
    if name == "live":
        parts = (each for run in ("rungs", "two") for each in Run.open(home, run).datasets.values())
        return "\n".join(in_words(status_of(each)) for each in parts)
    if name == "compare":
        page = comparison_document(compare_runs([Run.open(home, each) for each in ("packaged", "two")], "sharing"))
    elif name == "decide":
        if not (home / "decided").is_dir():
            _said(home, f"{DECIDE} --to {home / 'decided'}")
        page = (home / "decided" / "report.html").read_text(encoding="utf-8")
    else:
        page = document([view_of(load_run(name, home)._result(None))], name)
    return _markup(page)


def _notebook(home):
    """What `bench` gives of a run and of a decision."""
    import bench

    run = bench.load_run("watched", home)
    frames = (run.frontier(), run.points(), run.trials(), run.replicates(), run.cells())
    log = pd.read_csv(home / "log.csv")
    models = {"today": ["p_click", "p_buy"], "new": ["q_click", "q_buy"]}
    found = bench.decide(log, labels=["click", "buy"], models=models, weights="p_click", unseen=True)
    texts = [run.verdict(), run.formula(), run.pick().reason, run.figure("heads").svg, found.verdict(), found.formula()]
    return "\n".join([*(each.to_csv(float_format="%.6g") for each in frames), *texts, found._repr_html_()])


def _markup(page):
    """Of a page what is not packed."""
    page = re.sub(r"<(script|style)\b.*?</\1>|<meta http-equiv.*?>", "", page, flags=re.DOTALL)
    page = re.sub(r'(data-packed id="[^"]*">)[^<]*<', r"\1<", page)
    return re.sub(r"(?<=>)(?=<)", "\n", page)


def write_log(path):
    """A log of two models' predictions, by whole numbers alone."""
    rng, rows = np.random.default_rng(7), 720
    taste, price = rng.integers(0, 10, rows), rng.integers(0, 10, rows)
    click = rng.integers(0, 20, rows) < taste
    said = {
        f"{model}_{task}": (1 + 3 * of + rng.integers(0, noise, rows)) / 64
        for model, noise in (("p", 20), ("q", 8))
        for task, of in (("click", taste), ("buy", price))
    }
    buy = click & (rng.integers(0, 20, rows) < price)
    at = {"day": np.arange(rows) * 30 // rows, "request": np.arange(rows) // 6, "user": rng.integers(0, 90, rows)}
    country = np.where(rng.integers(0, 3, rows) > 0, "US", "FR")
    half = at["request"] % 2
    more = {"bid": 1 + taste % 3, "shown": half, "chance": 0.2 + 0.6 * half, "old": price / 7, "z_click": taste - 6.5}
    more |= {"fold": np.where(at["day"] < 20, "train", "test"), "note": np.where(taste > 2, "x", None)}
    more |= {"part": np.where(half, "choose", "judge"), "country": country, "click": click * 1, "buy": buy * 1}
    pd.DataFrame(at | more | said).to_csv(path, index=False)


def write_told(home):
    """Writes it down."""
    found = {name: told(home, name) for name in (*COMMANDS, *PAGES)}
    TOLD.write_bytes(lzma.compress(json.dumps(found).encode(), preset=9))


def read_told():
    """As it was written down."""
    return json.loads(lzma.decompress(TOLD.read_bytes()))

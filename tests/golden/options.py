"""Commands on the stored runs and on a log, and their options, each of which must change what its
command says.
"""

import io
import os
import re
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

import numpy as np
import pandas as pd

from bench.app.cli import main

LOG = "decide LOG --label click --label buy --model today=p_click,p_buy --model new=q_click,q_buy"
OPTIONS = {
    LOG: (
        "--group request; --units user; --time day; --part part; --segment country; --random "
        "shown; --seed 3; --propensity chance; --value click=1 --value buy=9; --amount "
        "click=bid; --today new; --score old; --sampling 0.5; --weights q_click; --unseen; "
        "--outcome click.recall@20%; --parent buy=click; --policy POLICY; --model "
        "more=q_click,p_buy"
    ),
    f"{LOG} --parent buy=click": "--given buy; --joint buy",
    f"{LOG} --time day": "--trained-until 3",
    "pick two": (
        "--policy POLICY; --value click=1; --maximize like.recall@10%; --at-least "
        "click.recall@10%=0.2; --at-most cost/parameters=2000"
    ),
    "diagnose alone": "0",
    "compare two": "packaged; --by run",
    "list spaces": "--dataset census-income",
}
"""By command its options."""
CARD = "data card LOG --label click --label buy --parent buy=click --out OUT --force"
PLAIN = (
    "show two --full",
    "show two --heads",
    "show watched --full",
    "status two",
    "status rungs",
    "plan two --traffic 50/day --guardrail click=-5%",
    "plan watched",
    "plan unconfirmed",
    "list datasets synthetic-funnel",
    "list spaces wide",
    "diagnose two 1",
    "compare five",
    CARD,
    f"{CARD} --split hash --split-column user --valid 0.4",
    f"{CARD} --time day --group request",
    f"{CARD} --split random --valid 0.4 --logged old",
)
"""Further commands."""
TWO = "decide LOG --label click --label buy"
MISTAKES = (
    "deploy two --promote --rollback",
    "deploy two --promote --as challenger",
    "explain two",
    "data history synthetic-funnel@rows=1000 --out OUT",
    "score none LOG --out OUT",
    "score none --latency",
    f"{TWO} --model mine=package:none",
    f"{TWO} --model today=p_click,p_buy --fail-if click",
    "backtest two --cuts 1",
    "backtest unconfirmed",
    "backtest two --warm --window 3",
    "pick two --maximize none",
    "pick two --value click=-1",
    "compare two none",
    "plan two --unit none",
    "plan two --traffic 0/day",
    "plan two --guardrail click=1%",
    "plan two --guardrail none=-1%",
    "run two --confirm static=1",
    "run two --confirm replicates=1",
    "run two --trials 1",
    "run two --time 1h",
    "train synthetic-funnel@rows=1000 --set none=1",
    "diagnose two 99",
    "show none",
    "train synthetic-funnel@rows=1000 --tasks none",
    f"{TWO} --label none --model today=p_click,p_buy",
    f"{TWO} --model today=none",
    f"{TWO} --model today=p_click",
    f"{TWO} --model today=p_click,p_buy --units none",
    "data card LOG --label none --out OUT",
    "data card LOG --label click --split time --out OUT",
    "list spaces none",
    "compare none",
    "show two --experiment none",
)
"""Each is answered by one sentence."""


def commands():
    """All of them, as one types them."""
    return [
        *PLAIN,
        *MISTAKES,
        *(
            f"{to} {each}".strip()
            for to, options in OPTIONS.items()
            for each in ("", *options.split("; "))
        ),
    ]


def said(home, command):
    """The exit code of a command, and what it says or writes, without what depends on the
    machine.
    """
    log = home / "log.csv"
    if not log.is_file():
        write_log(log)
    policy = home / "policy.toml"
    policy.write_text('rule = "utopia"\n[guard]\nconfidence = 0.6\n')
    made = home / "card.toml"
    made.unlink(missing_ok=True)
    words = (
        command.replace("LOG", str(log))
        .replace("POLICY", str(policy))
        .replace("OUT", str(made))
        .split()
    )
    out, err = io.StringIO(), io.StringIO()
    given = [] if words[:2] == ["data", "card"] else ["--home", str(home)]
    wide = patch.dict(os.environ, COLUMNS="300")
    with redirect_stdout(out), redirect_stderr(err), patch("sys.argv", ["seesaw", *words]), wide:
        code = main([*words, *given])
    text = (
        out.getvalue()
        + err.getvalue()
        + (made.read_text() if words[:2] == ["data", "card"] and made.is_file() else "")
    )
    text = re.sub(r"/\S+/content/", "CONTENT/", text.replace(str(home), "HOME"))
    text = re.sub(r"(?m)^encoding .*\n", "", text)  # data are prepared once
    return [code, re.sub(r"[ \u2500-\u257f]+", " ", text)]


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
    at = {
        "day": np.arange(rows) * 30 // rows,
        "request": np.arange(rows) // 6,
        "user": rng.integers(0, 90, rows),
    }
    country = np.where(rng.integers(0, 3, rows) > 0, "US", "FR")
    half = at["request"] % 2
    more = {
        "bid": 1 + taste % 3,
        "shown": half,
        "chance": 0.2 + 0.6 * half,
        "old": price / 7,
        "z_click": taste - 6.5,
    }
    more |= {
        "fold": np.where(at["day"] < 20, "train", "test"),
        "note": np.where(taste > 2, "x", None),
    }
    more |= {
        "part": np.where(half, "choose", "judge"),
        "country": country,
        "click": click * 1,
        "buy": buy * 1,
    }
    pd.DataFrame(at | more | said).to_csv(path, index=False)

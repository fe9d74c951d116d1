"""Commands on a packaged model: score and latency, from its folder; what is no model."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from serving_toys import funnel_package, funnel_store, raw_rows


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    return funnel_package(folder / "package", funnel_store(folder / "home")).folder


def test_files_are_scored(seesaw, package, tmp_path):
    pq.write_table(raw_rows().slice(0, 50), tmp_path / "log.parquet")
    said = seesaw(
        "score",
        package,
        tmp_path / "log.parquet",
        "--out",
        tmp_path / "out",
        "--keep",
        "user_id",
        "--json",
    )
    assert said.code == 0, said.err
    assert json.loads(said.out)["rows"] == 50
    assert pq.read_table(tmp_path / "out" / "log-00000.parquet").num_rows == 50
    again = seesaw(
        "score", package, tmp_path / "log.parquet", "--out", tmp_path / "out", "--keep", "user_id"
    )
    assert "1 were there already" in again.out


def test_latency(seesaw, package):
    said = seesaw(
        "score",
        package,
        "--latency",
        "--batches",
        "1",
        "--seconds",
        "0.01",
        "--engine",
        "eager",
    )
    assert said.code == 0, said.err
    assert "eager" in said.out


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A card beside its file: 800 rows of the package's data, whose log has the probability of a
    click as a score.
    """
    folder = tmp_path_factory.mktemp("logged")
    pq.write_table(raw_rows().slice(0, 800), folder / "log.parquet")
    text = (Path(__file__).parents[3] / "datasets" / "synthetic-funnel" / "card.toml").read_text()
    text = re.sub(r"^(truth|kind = \"synthetic|generator|parameters).*\n", "", text, flags=re.M)
    text = text.replace(
        "[reader]",
        'logged = ["p_click"]\n[reader]\nkind = "parquet"\n[[files]]\nname = "log.parquet"',
    )
    (folder / "card.toml").write_text(text)
    return folder / "card.toml"


@pytest.mark.slow
def test_a_failed_rule_ends_with_1_in_words_and_as_json(seesaw, package, logged, tmp_path):
    kept, failed = "click.recall@10% > 1%", "click.recall@10% < -1%"
    command = (
        "evaluate",
        package,
        logged,
        "--raw",
        logged.parent,
        "--resamples",
        20,
        "--against",
        "column:p_click",
    )
    said = seesaw(*command, "--fail-if", kept)
    assert (said.code, said.err) == (0, ""), said.err
    assert f"{package} against column:p_click: " in said.out
    said = seesaw(*command, "--fail-if", kept, "--fail-if", failed)
    assert (said.code, said.err) == (1, f"seesaw: failed by --fail-if: {failed}\n")
    sentences = said.out.splitlines()[-2:]
    as_json = seesaw(*command, "--fail-if", kept, "--fail-if", failed, "--json")
    assert (as_json.code, as_json.err) == (1, said.err)
    document = json.loads(as_json.out)
    assert [each["sentence"] for each in document["rules"]] == sentences
    assert [each["failed"] for each in document["rules"]] == [False, True]
    outcome = next(each for each in document["outcomes"] if each["metric"] == "click.recall@10%")
    assert outcome["gain"] == document["rules"][1]["measured"]
    assert outcome["gain"]["value"] < -0.01  # the true probability ranks better than a small model
    # a column has no predictions
    assert not [each for each in document["metrics"] if each["other"]]
    # where no file is
    refused = seesaw("evaluate", package, logged, "--raw", tmp_path, "--against", "column:price")
    said = (
        "seesaw: --against: expected a column under 'logged' of synthetic-funnel (p_click), "
        "found 'price'\n"
    )
    assert (refused.code, refused.out, refused.err) == (2, "", said)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("click.recall@10%", "expected a gain as in"),
        ("like.recall@10% < 0.1", "outcome 'like.recall@10%': unknown task 'like'"),
        ("click.recall@10% < -1%", "expected --against"),
    ],
)
def test_a_wrong_rule_is_refused_before_data_are_read(
    seesaw, package, logged, tmp_path, rule, said
):
    # where no file is
    refused = seesaw("evaluate", package, logged, "--raw", tmp_path, "--fail-if", rule)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert refused.err.startswith(f"seesaw: --fail-if: {said}")

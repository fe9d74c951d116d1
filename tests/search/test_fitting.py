"""What of a space fits a data set, and how large a space is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.schema import Field, Schema, Task
from bench.search.space import fitting, load_space
from bench.training.config import AXES, TrialConfig

TWO, THREE = (Task("a"), Task("b")), (Task("a"), Task("b", parent="a"), Task("c"))
USER = (Field("user", 5),)

SMALL = """
title = "small"
[parameters."sharing.kind"]
type = "switch"
default = "pepnet"
[parameters."sharing.kind".branches.single_task]
[parameters."sharing.kind".branches.mmoe]
"sharing.mmoe.experts" = { type = "int", low = 2, high = 8, step = 2, default = 2 }
[parameters."sharing.kind".branches.pepnet]
"sharing.pepnet.gate_width" = { type = "choice", options = [8, 16, 32], default = 8 }
[parameters."loss.kind"]
type = "switch"
unless = { "sharing.kind" = ["single_task"] }
default = "bpr"
[parameters."loss.kind".branches.bpr]
[parameters."loss.kind".branches.log]
[parameters."tower.layers"]
type = "choice"
options = ["32", "64"]
default = "32"
"""


def space_of(folder, text):
    (folder / "s.toml").write_text(text)
    return load_space(str(folder / "s.toml"))


@pytest.fixture
def small(tmp_path):
    return space_of(tmp_path, SMALL)


def test_where_everything_fits_the_space_is_the_same(small):
    fitted = fitting(small, Schema(USER, (), THREE, grouped=True))
    assert fitted.space is small
    assert not fitted.left_out


def test_what_does_not_fit_is_neither_sampled_nor_a_default_and_the_reason_is_kept(small):
    fitted = fitting(small, Schema((), ("age",), TWO))
    assert set(fitted.left_out) == {"sharing.kind = pepnet", "loss.kind = bpr"}
    assert "no categorical field" in fitted.left_out["sharing.kind = pepnet"]
    assert "names no group" in fitted.left_out["loss.kind = bpr"]
    rng = np.random.default_rng(0)
    drawn = [fitted.space.sample(rng, ["a", "b"]) for _ in range(50)]
    assert {config["sharing.kind"] for config in drawn} == {"single_task", "mmoe"}
    assert {config.get("loss.kind") for config in drawn} == {None, "log"}
    assert fitted.space.defaults(["a", "b"])["sharing.kind"] == "single_task"  # its own default is gone
    assert small.branches("sharing.kind") == ("single_task", "mmoe", "pepnet")


def test_what_is_searched_within_groups_is_at_its_default_elsewhere(tmp_path):
    text = (
        SMALL
        + """
[parameters."interaction.kind"]
type = "switch"
where = "groups"
default = "none"
[parameters."interaction.kind".branches.none]
[parameters."interaction.kind".branches.dcn_v2]
"""
    )
    space = space_of(tmp_path, text)
    alone = fitting(space, Schema(USER, (), TWO))
    assert alone.space.fixed["interaction.kind"] == "none"
    assert "names no group" in alone.left_out["interaction.kind = dcn_v2"]
    assert fitting(space, Schema(USER, (), TWO, grouped=True)).space.branches("interaction.kind") == ("none", "dcn_v2")
    with pytest.raises(UserError, match="where"):
        space_of(tmp_path, text.replace('where = "groups"', 'where = "rows"'))


@pytest.mark.parametrize("name", ["quick", "joint", "funnel", "wide"])
def test_options_of_positions_are_searched_where_the_card_names_one_and_else_leave_no_trace(tmp_path, name):
    before, _, _ = Path(load_space(name).source).read_text().partition("# How a row's position")
    old = Schema((Field("user", 5), Field("place", 9)), (), TWO)
    plain = fitting(space_of(tmp_path, before), old)
    assert fitting(load_space(name), old).space.digest() == plain.space.digest()
    found = fitting(load_space(name), replace(old, position="place")).space.defaults(["a", "b"])
    assert {key: found[key] for key in found if key.startswith("position")} == {
        "position.form": "sum",
        "position.dropout": 0.0,
    }
    assert not [key for key in TrialConfig.parse({}).dotted() if key.startswith("position")]
    assert TrialConfig.parse(found).dotted()["position.form"] == "sum"


def test_a_switch_of_which_nothing_fits_is_refused_with_every_reason(tmp_path):
    text = SMALL.replace("branches.log]", "branches.listwise]")
    with pytest.raises(UserError, match=r"loss\.kind: expected a branch that fits .*bpr: .*; listwise: "):
        fitting(space_of(tmp_path, text), Schema(USER, (), TWO))


NOT_SEARCHED = {
    "sharing.pepnet.fields": "names columns of the data",
    "sharing.pepnet.domain": "names columns of the data",
    "funnel.escm2_ipw.ctcvr_weight": "is 1, against which cvr_weight is searched",
    "funnel.escm2_dr.ctcvr_weight": "is 1, against which cvr_weight is searched",
    "balancing.metabalance.target": "names a task",
    "balancing.stch.virtual_epoch": "is a warm-up",
    "balancing.gradnorm.virtual_epoch": "is a warm-up",
    "balancing.moco.decay": "fades within a run of any length",
    "balancing.db_mtl.decay": "fades within a run of any length",
    "regression_loss.quantile.level": "says what is predicted",
    "balancing.metabalance.beta": "is a memory of lengths, which change slowly",
}


def test_wide_searches_every_option_of_its_branches_but_those_with_a_reason():
    rows = load_space("wide").describe()["parameters"]
    names = {row["name"] for row in rows}
    branches = {row["name"].removesuffix(".kind"): row["options"] for row in rows if row["type"] == "switch"}
    options = {
        f"{axis}.{kind}.{option}"
        for axis, registry in AXES.items()
        for kind in branches[axis]
        for option in registry[kind].config.model_fields
    }
    assert options - names == set(NOT_SEARCHED)

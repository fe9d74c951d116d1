"""What of a space fits a data set, and how large a space is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.schema import Field, Number, Schema, Task
from bench.models.numeric import NUMERIC
from bench.search.gaussian import Encoding
from bench.search.space import Space, fitting, load_space, size_of
from bench.system import content
from bench.training.config import AXES

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


def space_of(folder: Path, text: str) -> Space:
    (folder / "s.toml").write_text(text)
    return load_space(str(folder / "s.toml"))


@pytest.fixture
def small(tmp_path: Path) -> Space:
    return space_of(tmp_path, SMALL)


def test_where_everything_fits_the_space_is_the_same(small: Space) -> None:
    fitted = fitting(small, Schema(USER, (), THREE, grouped=True))
    assert fitted.space is small
    assert not fitted.left_out


def test_what_does_not_fit_is_neither_sampled_nor_a_default_and_the_reason_is_kept(small: Space) -> None:
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


def test_a_switch_of_one_branch_is_a_constant_and_keeps_what_that_brings(small: Space) -> None:
    space = fitting(small.restricted({"sharing.kind": "mmoe"}), Schema(USER, (), TWO)).space
    assert space.fixed["loss.kind"] == "log"
    assert Encoding(space, ["a", "b"]).names == ("sharing.mmoe.experts", "tower.layers")


def test_what_is_searched_within_groups_is_at_its_default_elsewhere(tmp_path: Path) -> None:
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


def test_a_fixed_kind_that_does_not_fit_is_refused(small: Space) -> None:
    with pytest.raises(UserError, match=r"^loss\.kind = 'bpr' does not fit this data: .*names no group"):
        fitting(small.restricted({"loss.kind": "bpr"}), Schema(USER, (), TWO))


def test_a_switch_of_which_nothing_fits_is_refused_with_every_reason(tmp_path: Path) -> None:
    text = SMALL.replace("branches.log]", "branches.listwise]")
    with pytest.raises(UserError, match=r"loss\.kind: expected a branch that fits .*bpr: .*; listwise: "):
        fitting(space_of(tmp_path, text), Schema(USER, (), TWO))


def test_the_funnel_is_fixed_where_no_task_has_a_parent() -> None:
    fitted = fitting(load_space("funnel"), Schema(USER, (), TWO, grouped=True))
    assert fitted.space.fixed["funnel.kind"] == "independent"
    assert fitted.left_out["funnel.kind = entire_space"] == "no task has a parent, so that all funnels are one"
    assert "funnel.kind = entire_space" not in fitting(load_space("funnel"), Schema(USER, (), THREE)).left_out


def test_what_is_done_with_numbers_is_fixed_where_there_is_none() -> None:
    fitted = fitting(load_space("wide"), Schema(USER, (), THREE))
    assert fitted.space.fixed["numeric.kind"] == "scaled"
    gone = {branch for branch in fitted.left_out if branch.startswith("numeric.kind")}
    assert gone == {
        f"numeric.kind = {kind}" for kind in ("bucket", "bucket_and_piecewise", "piecewise_linear", "periodic")
    }
    with pytest.raises(UserError, match=r"numeric.kind = 'periodic' does not fit this data: it has no number"):
        fitting(load_space("wide").restricted({"numeric.kind": "periodic"}), Schema(USER, (), THREE))
    number = Number("age", 0, None, (0.0, 1.0), (9,))
    with_one = Schema((*USER, Field("age_bucket", 3)), ("age",), THREE, None, (number,))
    assert fitting(load_space("wide"), with_one).space.branches("numeric.kind") == tuple(NUMERIC)


def test_the_size_counts_every_configuration(small: Space) -> None:
    """Against all of them, written out: 2 towers x (1 + (4 + 3) x 2)."""
    rng = np.random.default_rng(0)
    seen = {tuple(sorted(small.sample(rng, ["a"]).items())) for _ in range(2000)}
    mixed = [4 * 2, 3 * 2, 1]
    assert size_of(small, ["a"])["discrete"] == len(seen) == 2 * sum(mixed) == 30
    assert size_of(small, ["a"])["text"] == "30 configurations"


def test_continuous_parameters_are_counted_with_the_weights_of_the_tasks() -> None:
    sizes = [size_of(load_space("quick"), [f"t{n}" for n in range(tasks)]) for tasks in (1, 2, 4)]
    assert [one["continuous"] - sizes[0]["continuous"] for one in sizes] == [0, 1, 3]
    assert sizes[0]["text"].startswith("infinite: ")


def test_wide_lacks_no_entry_of_a_registry() -> None:
    """Who adds an entry gives it a branch in search_spaces/wide.toml, and a balancer or loss one in its own."""
    own = {"wide": AXES, "balancing": ["balancing"], "losses": ["loss", "regression_loss"]}
    for name, axes in own.items():
        options = {row["name"]: row.get("options", ()) for row in load_space(name).describe()["parameters"]}
        for axis in axes:
            missing = set(AXES[axis]) - set(options[f"{axis}.kind"])
            assert not missing, f"search_spaces/{name}.toml has no branch {axis}.kind = {missing}"


NOT_SEARCHED = {
    "sharing.pepnet.fields": "names columns of the data",
    "sharing.pepnet.domain": "names columns of the data",
    "funnel.escm2_ipw.ctcvr_weight": "is 1, against which cvr_weight is searched",
    "funnel.escm2_dr.ctcvr_weight": "is 1, against which cvr_weight is searched",
    "balancing.metabalance.target": "names a task",
    "balancing.stch.ideal": "has a value for each task that only the data tells",
    "balancing.stch.virtual_epoch": "is a warm-up",
    "balancing.gradnorm.virtual_epoch": "is a warm-up",
    "balancing.moco.decay": "fades within a run of any length",
    "balancing.db_mtl.decay": "fades within a run of any length",
    "regression_loss.quantile.level": "says what is predicted",
    "balancing.metabalance.beta": "is a memory of lengths, which change slowly",
}


def test_wide_searches_every_option_but_those_with_a_reason() -> None:
    names = {row["name"] for row in load_space("wide").describe()["parameters"]}
    options = {
        f"{axis}.{kind}.{option}"
        for axis, registry in AXES.items()
        for kind, entry in registry.items()
        for option in entry.config.model_fields
    }
    assert options - names == set(NOT_SEARCHED)


def test_joint_has_the_first_families_and_the_baseline() -> None:
    space = load_space("joint")
    families = {"single_task", "shared_embeddings", "shared_bottom", "mmoe", "ple"}
    assert set(space.branches("sharing.kind")) == families
    assert {"independent", "entire_space"} <= set(space.branches("funnel.kind"))
    assert content.names("search_spaces") == ["balancing", "funnel", "joint", "losses", "quick", "wide"]

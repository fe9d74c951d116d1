"""Search spaces: what is drawn of one, what fits a data set, and mistakes in its file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from scipy.stats import chi2_contingency, ks_2samp
from search_toys import TASKS, toy_space

from bench.core.errors import UserError
from bench.core.schema import Field, Schema, Task
from bench.core.system import content
from bench.models.training.config import AXES, TrialConfig
from bench.search.encoding import Encoding
from bench.search.space import fitting, load_space

SPACES = content.names("search_spaces")


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def space_of(folder, text):
    return load_space(write(folder, text))


def names(space, tasks):
    return tuple(Encoding(space, tasks).nodes)


def samples(space, count=300):
    rng = np.random.default_rng(0)
    return [space.sample(rng, TASKS) for _ in range(count)]


@pytest.mark.parametrize("name", SPACES)
def test_shipped_spaces_are_accepted_by_the_configuration(name):
    for tasks in (("click", "long_view", "like"), ("only",)):
        load_space(name).validate_against_config(tasks)


@pytest.mark.parametrize("name", SPACES)
def test_samples_of_shipped_spaces_parse(name):
    for config in samples(load_space(name), 50):
        parsed = TrialConfig.parse(config).dotted()
        assert {key: parsed[key] for key in config} == config


def test_suggest_and_sample_draw_from_the_same_distributions():
    """Against optuna's own random sampler, name by name, by a test that holds for any number of
    draws.
    """
    space = load_space("wide")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    suggested = [space.suggest(study.ask(), TASKS) for _ in range(400)]
    sampled = samples(space, 400)
    for name in names(space, TASKS):
        ours = [config[name] for config in sampled if name in config]
        theirs = [config[name] for config in suggested if name in config]
        if isinstance(ours[0], str):
            options = sorted({*ours, *theirs})
            counts = [[draws.count(option) for option in options] for draws in (ours, theirs)]
            assert len(options) == 1 or chi2_contingency(counts).pvalue > 1e-4, name
        else:
            # of a hundred names; branches may be drawn seldom
            assert ks_2samp(ours, theirs).pvalue > 1e-4, name
            assert type(ours[0]) is type(theirs[0]), name


def test_branches_may_nest_switches(tmp_path):
    text = """
            title = "nested"
            [parameters.a]
            type = "switch"
            default = "x"
            [parameters.a.branches.x]
            [parameters.a.branches.y.b]
            type = "switch"
            default = "p"
            [parameters.a.branches.y.b.branches.p]
            c = { type = "int", low = 1, high = 2, default = 1 }
            [parameters.a.branches.y.b.branches.q]
            """
    space = space_of(tmp_path, text)
    shapes = {tuple(config) for config in samples(space)}
    assert shapes == {("a",), ("a", "b"), ("a", "b", "c")}
    assert space.describe()["parameters"][-1] == {
        "name": "c",
        "when": {"a": "y", "b": "p"},
        "type": "int",
        "low": 1,
        "high": 2,
        "default": 1,
        "log": False,
        "step": 1,
    }
    assert {tuple(config) for config in space.variants(TASKS)} == shapes
    assert {config["c"] for config in space.variants(TASKS) if "c" in config} == {1, 2}


def test_variants_visit_every_bound_and_option():
    variants = list(toy_space().variants(TASKS))
    for name, values in {
        "sharing.kind": {"single_task", "mmoe", "ple"},
        "sharing.mmoe.experts": {4, 1, 16},
        "sharing.ple.levels": {1, 5},
        "optim.lr": {1e-3, 1e-5, 1e-1},
        "tower.layers": {"", "32", "64"},
        "balancing.static.weight.like": {1.0, 1 / 16, 16.0},
    }.items():
        assert {config[name] for config in variants if name in config} == values


def test_digest_is_stable_and_sees_what_matters(tmp_path):
    text = (
        'title = "{title}"\n[parameters.x]\ntype = "float"\nlow = 0\nhigh = {high}\ndefault = '
        "0.5\n{more}"
    )
    digest = space_of(tmp_path, text.format(title="a", high=1, more="")).digest()
    assert digest == "125c4865798a6cbd"
    assert space_of(tmp_path, text.format(title="other", high=1, more="")).digest() == digest
    assert space_of(tmp_path, text.format(title="a", high=2, more="")).digest() != digest
    assert (
        space_of(tmp_path, text.format(title="a", high=1, more="[fixed]\ny = 1")).digest() != digest
    )


class TestRestricted:
    def test_a_pinned_parameter_is_fixed_and_no_longer_searched(self):
        space = toy_space().restricted({"optim.lr": 0.5})
        assert "optim.lr" not in names(space, TASKS)
        assert {config["optim.lr"] for config in samples(space)} == {0.5}

    def test_a_pinned_switch_keeps_only_its_branch(self):
        space = toy_space().restricted({"sharing.kind": "ple"})
        assert space.branches("sharing.kind") == ()
        assert [name for name in names(space, TASKS) if name.startswith("sharing")] == [
            "sharing.ple.levels",
            "sharing.ple.dropout",
        ]
        assert all(config["sharing.kind"] == "ple" for config in samples(space, 20))

    def test_a_pinned_name_in_a_branch_appears_only_there(self):
        for name in ("sharing.ple.levels", "sharing.ple.shared_experts"):  # a parameter, and none
            space = toy_space().restricted({name: 3})
            assert name not in names(space, TASKS)
            for config in samples(space, 50):
                assert config.get(name) == (3 if config["sharing.kind"] == "ple" else None)

    def test_other_names_join_the_fixed_ones_and_later_pins_win(self):
        space = (
            toy_space()
            .restricted({"optim.patience": 4, "optim.epochs": 9})
            .restricted({"optim.epochs": 1})
        )
        assert space.fixed == {"optim.epochs": 1, "optim.patience": 4}

    def test_a_weight_of_a_simplex_can_be_pinned(self):
        space = toy_space().restricted(
            {"balancing.static.weight.like": 3.0, "balancing.static.weight.click": 2.0}
        )
        assert not [name for name in names(space, TASKS) if "weight" in name]
        config = samples(space, 1)[0]
        assert (
            config["balancing.static.weight.click"],
            config["balancing.static.weight.like"],
        ) == (2.0, 3.0)

    def test_an_architecture_stands_for_its_kinds(self):
        space = load_space("wide").restricted({"architecture": "esmm"})
        assert space.fixed["sharing.kind"] == "shared_embeddings"
        assert space.fixed["funnel.kind"] == "entire_space"
        space.validate_against_config(TASKS)

    def test_a_contradicted_or_unknown_architecture_is_refused(self):
        with pytest.raises(UserError, match=r"means sharing\.kind = 'ple', but found 'mmoe'"):
            toy_space().restricted({"architecture": "ple", "sharing.kind": "mmoe"})
        with pytest.raises(UserError, match="unknown architecture 'mmo'"):
            toy_space().restricted({"architecture": "mmo"})


UNLESS = """
title = "a parameter that one branch does not have"
[parameters."sharing.kind"]
type = "switch"
default = "mmoe"
[parameters."sharing.kind".branches.single_task]
[parameters."sharing.kind".branches.mmoe]
"sharing.mmoe.experts" = { type = "int", low = 2, high = 4, default = 2 }
[parameters."balancing.kind"]
type = "switch"
unless = { "sharing.kind" = ["single_task"] }
default = "static"
[parameters."balancing.kind".branches.static]
[parameters."balancing.kind".branches.cagrad]
"balancing.cagrad.c" = { type = "float", low = 0.1, high = 0.9, default = 0.5 }
"""


def test_a_parameter_is_left_out_of_the_branch_where_it_means_nothing(tmp_path):
    space = space_of(tmp_path, UNLESS)
    assert names(space, ["a"]) == (
        "sharing.kind",
        "sharing.mmoe.experts",
        "balancing.kind",
        "balancing.cagrad.c",
    )
    rng = np.random.default_rng(0)
    for _ in range(50):
        config = space.sample(rng, ["a"])
        assert ("balancing.kind" in config) == (config["sharing.kind"] == "mmoe")
    pinned = space.restricted({"balancing.kind": "cagrad"})
    assert {c.get("balancing.kind") for c in (pinned.sample(rng, ["a"]) for _ in range(50))} == {
        None,
        "cagrad",
    }
    space.validate_against_config(["a"])


def lr(**keys):
    """A space whose one parameter has these keys."""
    return (
        HEAD
        + '[parameters."optim.lr"]\n'
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    )


def parameter(text):
    return f"{HEAD}[parameters]\n{text}\n"


HEAD = 'title = "t"\n'
SWITCH = HEAD + (
    '[parameters."sharing.kind"]\ntype = "switch"\ndefault = '
    '"a"\n[parameters."sharing.kind".branches]\n'
)
X = "{ type = 'int', low = 1, high = 2, default = 1 }"
MISTAKES = {
    "a list among fixed values": (HEAD + '[fixed]\n"a.b" = [1]\n', r"fixed.a\.b"),
    "unknown type": (
        lr(type="flaot"),
        r"optim.lr: unknown type 'flaot' \(did you mean 'float'\?\)",
    ),
    "bounds swapped": (
        lr(type="float", low=2, high=1, default=1),
        "optim.lr: .*low <= high, found low = 2.0 and high",
    ),
    "log of zero": (
        lr(type="float", low=0, high=1, default=1, log=True),
        "optim.lr: expected low > 0 where log = true",
    ),
    "default outside": (
        lr(type="float", low=0, high=1, default=2),
        r"optim.lr: expected default in \[0.0, 1.0\], found 2.0",
    ),
    "step that misses high": (
        lr(type="int", low=1, high=4, step=2, default=1),
        "optim.lr: expected high to be low plus a multiple of step = 2, found high = 4",
    ),
    "no option": (
        lr(type="choice", options=[1, 2], default=3),
        r"expected default to be one of \[1, 2\]",
    ),
    "mistake in a branch": (
        SWITCH + "a = { x = { type = 'int' } }\n",
        "sharing.kind = a: x: missing key 'low'",
    ),
    "a name in two branches": (
        SWITCH + f"a = {{ x = {X} }}\nb = {{ x = {X} }}\n",
        "x: expected one parameter of this name, found another under sharing.kind = a",
    ),
    "a task's weight beside its simplex": (
        parameter(
            '"balancing.static.weight" = { type = "simplex" }\n"balancing.static.weight.click" '
            f"= {X}"
        ),
        (
            "balancing.static.weight.click: expected no parameter beside the simplex "
            "'balancing.static.weight'"
        ),
    ),
    "a branch that is not there": (UNLESS.replace('["single_task"]', '["ple"]'), "branch 'ple'"),
    "no list of branches": (
        UNLESS.replace('{ "sharing.kind" = ["single_task"] }', '"mmoe"'),
        "list of branches",
    ),
    "no such option of a model": (
        parameter(f'"optim.lrr" = {X}'),
        r"unknown key 'optim.lrr' \(did you mean 'optim.lr'\?\)",
    ),
    "a value that a model refuses": (
        lr(type="float", low=0, high=1, default=1),
        "optim.lr: expected a number greater than 0, found 0",
    ),
    "an option of another kind": (
        parameter(f'"sharing.ple.levels" = {X}'),
        "sharing.ple: does not belong",
    ),
    "no such task": (
        parameter('"balancing.static.weight" = { type = "simplex", pinned = { likes = 2 } }'),
        "unknown task 'likes'",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_a_file_gives_one_sentence_before_any_training(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        load_space(path).validate_against_config(TASKS)
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value).rstrip()


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
    # its own default is gone
    assert fitted.space.defaults(["a", "b"])["sharing.kind"] == "single_task"
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
    assert fitting(space, Schema(USER, (), TWO, grouped=True)).space.branches(
        "interaction.kind"
    ) == ("none", "dcn_v2")
    with pytest.raises(UserError, match="where"):
        space_of(tmp_path, text.replace('where = "groups"', 'where = "rows"'))


@pytest.mark.parametrize("name", ["quick", "joint", "funnel", "wide"])
def test_options_of_positions_are_searched_where_the_card_names_one_and_else_leave_no_trace(
    tmp_path, name
):
    before, _, _ = Path(load_space(name).source).read_text().partition("# How a row's position")
    old = Schema((Field("user", 5), Field("place", 9)), (), TWO)
    plain = fitting(space_of(tmp_path, before), old)
    assert fitting(load_space(name), old).space.digest() == plain.space.digest()
    defaults = fitting(load_space(name), replace(old, position="place")).space.defaults(["a", "b"])
    assert {key: defaults[key] for key in defaults if key.startswith("position")} == {
        "position.form": "sum",
        "position.dropout": 0.0,
    }
    assert not [key for key in TrialConfig.parse({}).dotted() if key.startswith("position")]
    assert TrialConfig.parse(defaults).dotted()["position.form"] == "sum"


def test_a_switch_of_which_nothing_fits_is_refused_with_every_reason(tmp_path):
    text = SMALL.replace("branches.log]", "branches.listwise]")
    with pytest.raises(
        UserError, match=r"loss\.kind: expected a branch that fits .*bpr: .*; listwise: "
    ):
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
    branches = {
        row["name"].removesuffix(".kind"): row["options"] for row in rows if row["type"] == "switch"
    }
    options = {
        f"{axis}.{kind}.{option}"
        for axis, registry in AXES.items()
        for kind in branches[axis]
        for option in registry[kind].config.model_fields
    }
    assert options - names == set(NOT_SEARCHED)

import json

import numpy as np
import optuna
import pytest
from scipy.stats import chi2_contingency, ks_2samp
from search_toys import TASKS, toy_space

from bench.core.errors import UserError
from bench.search.gaussian import Encoding
from bench.search.space import load_space
from bench.system import content

SPACES = content.names("search_spaces")


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


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
    from bench.training.config import TrialConfig

    for config in samples(load_space(name), 50):
        parsed = TrialConfig.parse(config).dotted()
        assert {key: parsed[key] for key in config} == config


def test_suggest_and_sample_draw_from_the_same_distributions():
    """Against optuna's own random sampler, name by name, by a test that holds for any number of draws."""
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
            assert ks_2samp(ours, theirs).pvalue > 1e-4, name  # of a hundred names; branches may be drawn seldom
            assert type(ours[0]) is type(theirs[0]), name


def test_branches_may_nest_switches(tmp_path):
    space = load_space(
        write(
            tmp_path,
            """
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
            """,
        )
    )
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
    text = 'title = "{title}"\n[parameters.x]\ntype = "float"\nlow = 0\nhigh = {high}\ndefault = 0.5\n{more}'
    digest = load_space(write(tmp_path, text.format(title="a", high=1, more=""))).digest()
    assert digest == "125c4865798a6cbd"
    assert load_space(write(tmp_path, text.format(title="other", high=1, more=""))).digest() == digest
    assert load_space(write(tmp_path, text.format(title="a", high=2, more=""))).digest() != digest
    assert load_space(write(tmp_path, text.format(title="a", high=1, more="[fixed]\ny = 1"))).digest() != digest


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
        space = toy_space().restricted({"optim.patience": 4, "optim.epochs": 9}).restricted({"optim.epochs": 1})
        assert space.fixed == {"optim.epochs": 1, "optim.patience": 4}

    def test_a_weight_of_a_simplex_can_be_pinned(self):
        space = toy_space().restricted({"balancing.static.weight.like": 3.0, "balancing.static.weight.click": 2.0})
        assert not [name for name in names(space, TASKS) if "weight" in name]
        config = samples(space, 1)[0]
        assert (config["balancing.static.weight.click"], config["balancing.static.weight.like"]) == (2.0, 3.0)

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
    space = load_space(write(tmp_path, UNLESS))
    assert names(space, ["a"]) == ("sharing.kind", "sharing.mmoe.experts", "balancing.kind", "balancing.cagrad.c")
    rng = np.random.default_rng(0)
    for _ in range(50):
        config = space.sample(rng, ["a"])
        assert ("balancing.kind" in config) == (config["sharing.kind"] == "mmoe")
    pinned = space.restricted({"balancing.kind": "cagrad"})
    assert {c.get("balancing.kind") for c in (pinned.sample(rng, ["a"]) for _ in range(50))} == {None, "cagrad"}
    space.validate_against_config(["a"])


def lr(**keys):
    """A space whose one parameter has these keys."""
    return HEAD + '[parameters."optim.lr"]\n' + "".join(f"{key} = {json.dumps(each)}\n" for key, each in keys.items())


def parameter(text):
    return f"{HEAD}[parameters]\n{text}\n"


HEAD = 'title = "t"\n'
SWITCH = HEAD + '[parameters."sharing.kind"]\ntype = "switch"\ndefault = "a"\n[parameters."sharing.kind".branches]\n'
X = "{ type = 'int', low = 1, high = 2, default = 1 }"
MISTAKES = {
    "a list among fixed values": (HEAD + '[fixed]\n"a.b" = [1]\n', r"fixed.a\.b"),
    "unknown type": (lr(type="flaot"), r"optim.lr: unknown type 'flaot' \(did you mean 'float'\?\)"),
    "bounds swapped": (lr(type="float", low=2, high=1, default=1), "optim.lr: .*low <= high, found low = 2.0 and high"),
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
    "no option": (lr(type="choice", options=[1, 2], default=3), r"expected default to be one of \[1, 2\]"),
    "mistake in a branch": (SWITCH + "a = { x = { type = 'int' } }\n", "sharing.kind = a: x: missing key 'low'"),
    "a name in two branches": (
        SWITCH + f"a = {{ x = {X} }}\nb = {{ x = {X} }}\n",
        "x: expected one parameter of this name, found another under sharing.kind = a",
    ),
    "a task's weight beside its simplex": (
        parameter(f'"balancing.static.weight" = {{ type = "simplex" }}\n"balancing.static.weight.click" = {X}'),
        "balancing.static.weight.click: expected no parameter beside the simplex 'balancing.static.weight'",
    ),
    "a branch that is not there": (UNLESS.replace('["single_task"]', '["ple"]'), "branch 'ple'"),
    "no list of branches": (UNLESS.replace('{ "sharing.kind" = ["single_task"] }', '"mmoe"'), "list of branches"),
    "no such option of a model": (
        parameter(f'"optim.lrr" = {X}'),
        r"unknown key 'optim.lrr' \(did you mean 'optim.lr'\?\)",
    ),
    "a value that a model refuses": (
        lr(type="float", low=0, high=1, default=1),
        "optim.lr: expected a number greater than 0, found 0",
    ),
    "an option of another kind": (parameter(f'"sharing.ple.levels" = {X}'), "sharing.ple: does not belong"),
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

"""Which fields are the prior of `pepnet`."""

from dataclasses import replace

import pytest

from bench.core.errors import UserError
from bench.core.schema import Field, Schema, Task
from bench.models.contracts import Layout
from bench.models.sharing import SHARING
from bench.models.sharing.pepnet import PEPNet, PEPNetConfig
from bench.training.config import TrialConfig

SCHEMA = Schema((Field("hour", 24), Field("user", 90), Field("item", 70)), ("age",), (Task("click"),))


def columns(schema=SCHEMA, **options):
    """Of the domain and of the prior."""
    made = PEPNet.of(Layout(schema, 2), 2, PEPNetConfig.model_validate(options))
    return made.domain.tolist(), made.prior.tolist()


@pytest.mark.parametrize(
    ("fields", "expected"), [("", [2, 3]), ("hour", [0, 1]), ("item, user", [2, 3, 4, 5]), ("user,user", [2, 3])]
)
def test_the_prior_is_of_the_named_fields_else_of_the_one_with_most_values(fields, expected):
    assert columns(fields=fields)[1] == expected


def test_the_gate_on_the_input_sees_the_cards_scenario_and_the_others_do_not():
    assert columns() == ([2, 3], [2, 3])
    assert columns(replace(SCHEMA, scenario="hour")) == ([0, 1], [2, 3])
    assert columns(replace(SCHEMA, scenario="hour"), domain="item", fields="hour") == ([4, 5], [0, 1])
    with pytest.raises(UserError, match=r"sharing\.pepnet\.domain: .*'itme'"):
        columns(domain="itme")


@pytest.mark.parametrize("kind", ["star", "mlora"])
def test_weights_of_their_own_are_for_a_card_with_few_scenarios(kind):
    assert "names no scenario" in str(SHARING[kind].unfit(SCHEMA))
    assert SHARING[kind].unfit(replace(SCHEMA, scenario="user")) is None
    many = replace(SCHEMA, fields=(Field("page", 5001),), scenario="page")
    assert "'page' has 5,000 values" in str(SHARING[kind].unfit(many))
    with pytest.raises(UserError, match="names no scenario"):
        TrialConfig.parse({"architecture": kind}).check_fit(SCHEMA)

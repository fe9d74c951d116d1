"""Rules that fail a nightly job: how they are read, and what decides."""

import pytest

from bench.core.errors import UserError
from bench.production.evaluation import Judgement
from bench.production.rules import Rule
from bench.results.effect import Effect


def test_a_rule_is_read():
    assert Rule.parse(" buy.recall@10% < -1% ") == Rule("buy.recall@10% < -1%", "buy.recall@10%", True, -0.01, True)
    assert Rule.parse("click.logloss>.4") == Rule("click.logloss>.4", "click.logloss", False, 0.4, False)


@pytest.mark.parametrize(
    "text", ["", "buy.recall@10%", "buy < ", "buy <= 1%", "buy < one", "buy < 1% < 2%", "buy < nan", "buy < -1", "< 1"]
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(UserError, match=r"^--fail-if: expected a gain as in 'buy.recall@10% < -1%' or a value"):
        Rule.parse(text)


def test_the_estimate_decides_and_the_sentence_says_how_sure():
    def said(rule, *gain, other=0.5):
        effects = Effect(other + gain[0] / 2, 0.2, 0.7), Effect(other), Effect(*(each / 2 for each in gain))
        found = Rule.parse(rule).result([Judgement("buy.ndcg@5", "larger", *effects)])
        assert found.sentence.startswith(f"{'failed' if found.failed else 'kept'}: {rule}: ")
        assert found.sure == ("surely" in found.sentence and "not surely" not in found.sentence)
        return found.sentence.replace(f": {rule}: the gain is", "")

    below, above = "buy.ndcg@5 < -1%", "buy.ndcg@5 > 2.5%"
    assert said(below, -0.03, -0.05, -0.011) == "failed -3.00% (-5.00 to -1.10), surely below"
    assert said(below, -0.03, -0.05, 0.01) == "failed -3.00% (-5.00 to +1.00), below, but not surely"
    assert said(below, -0.005, -0.02, 0.01) == "kept -0.50% (-2.00 to +1.00), not below, but not surely"
    assert said(below, 0.01, 0.0, 0.02) == "kept +1.00% (+0.00 to +2.00), surely not below"
    assert said(above, 0.03, 0.026, 0.04) == "failed +3.00% (+2.60 to +4.00), surely above"
    assert said(above, 0.01, 0.0, 0.02) == "kept +1.00% (+0.00 to +2.00), surely not above"
    value = "buy.ndcg@5 < 0.6"
    assert said(value, 0.0) == f"failed: {value}: the value is 0.5 (0.2 to 0.7), below, but not surely"

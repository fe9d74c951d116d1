"""Losses: the cost of a prediction. `LOSSES` are of binary tasks, `REGRESSION_LOSSES` of
regressions.
"""

from __future__ import annotations

from bench.core.plugins import Registry
from bench.core.registry import Entry, NoOptions
from bench.models.losses.base import (
    Distilled,
    DistilledConfig,
    LogLoss,
    Loss,
    RegressionLoss,
    is_uncensored,
)
from bench.models.losses.bins import Bins
from bench.models.losses.ranking import BPR, JRC, BPRConfig, Listwise, RankingConfig, has_groups
from bench.models.losses.regression import (
    Huber,
    HuberConfig,
    Quantile,
    QuantileConfig,
    Squared,
    WeightedLogistic,
    is_logarithmic,
)

_OURS: dict[str, Entry[Loss]] = {
    "log": Entry(LogLoss, NoOptions, "-", "the log loss of each sample"),
    "distilled": Entry(
        Distilled,
        DistilledConfig,
        "Hinton et al., arXiv 2015",
        (
            "the log loss, with labels mixed with what boosted trees predict of rows that they did "
            "not learn from"
        ),
        departs=(
            "The paper's teacher is a larger network, which has seen the rows, at a "
            "temperature. Here it is boosted trees, each part of train is predicted by trees "
            "of the other parts, and there is no temperature."
        ),
    ),
    "bpr": Entry(
        BPR,
        BPRConfig,
        "Rendle et al., UAI 2009",
        "a log loss, and each positive against negatives of its group",
        unfit=has_groups,
        departs=(
            "The paper has no log loss, draws one negative from all items, and its scores are "
            "no probabilities."
        ),
    ),
    "listwise": Entry(
        Listwise,
        RankingConfig,
        "Cao et al., ICML 2007",
        "a log loss, and softmax cross-entropy over each group",
        unfit=has_groups,
        departs=(
            "The paper has no log loss, weighs groups alike, and makes its target "
            "distribution by a softmax of the grades; here it is the positives, each with the "
            "weight of a sample."
        ),
    ),
    "jrc": Entry(
        JRC,
        RankingConfig,
        "Sheng et al., KDD 2023",
        "two scores of a sample: their difference has a log loss, and each ranks its group",
        unfit=has_groups,
        departs=(
            "In the paper both scores are outputs of one tower; here the second one has a "
            "tower of its own."
        ),
    ),
}
LOSSES = Registry("loss", _OURS)

_OF_REGRESSIONS: dict[str, Entry[RegressionLoss]] = {
    "squared": Entry(
        Squared,
        NoOptions,
        "-",
        "half the squared error of the scaled target; of censored labels, Tobit's likelihood",
    ),
    "huber": Entry(
        Huber,
        HuberConfig,
        "Huber, Annals of Mathematical Statistics 1964",
        "half the squared error of the scaled target, from some error on a line",
        unfit=is_uncensored,
    ),
    "weighted_logistic": Entry(
        WeightedLogistic,
        NoOptions,
        "Covington et al., RecSys 2016",
        "logistic regression whose odds are the time and 1, so that it aims at the mean time",
        unfit=is_logarithmic,
        departs=(
            "In the paper only watched videos are positives, and odds are about the mean time "
            "where few are watched; here each row is both, and odds are 1 + the mean time "
            "exactly."
        ),
    ),
    "quantile": Entry(
        Quantile,
        QuantileConfig,
        "Koenker & Bassett, Econometrica 1978",
        "the pinball loss: predicts a quantile, by default the median, and no mean",
    ),
    "bins": Entry(
        Bins,
        NoOptions,
        "Zhan et al., KDD 2022",
        "the label's quantile, among rows of about the same duration where the card names one",
        departs=(
            "The paper predicts one quantile by a squared error, and looks its label up; the "
            "label of a mean quantile is no mean label. Here the output gives the probability "
            "of each bin between quantiles, and the prediction is the expectation."
        ),
    ),
}
REGRESSION_LOSSES = Registry("regression_loss", _OF_REGRESSIONS)

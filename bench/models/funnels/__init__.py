"""Funnels tie the probabilities of tasks along parent links. One file each, one entry each in
`FUNNELS`.
"""

from __future__ import annotations

from bench.core.plugins import Registry
from bench.core.registry import Entry, NoOptions
from bench.models.contracts import Funnel
from bench.models.funnels.aitm import AITM, AITMConfig
from bench.models.funnels.direct import Direct
from bench.models.funnels.entire_space import EntireSpace
from bench.models.funnels.escm2_dr import ESCM2DR, ESCM2DRConfig
from bench.models.funnels.escm2_ipw import ESCM2IPW, ESCM2Config
from bench.models.funnels.independent import Independent
from bench.models.funnels.links import parents_are_binary

_OURS: dict[str, Entry[Funnel]] = {
    "independent": Entry(
        Independent,
        NoOptions,
        "-",
        "each task on its own sample space: a child is trained where its parent happened",
        unfit=parents_are_binary,
    ),
    "entire_space": Entry(
        EntireSpace,
        NoOptions,
        "Ma et al., SIGIR 2018",
        (
            "ESMM's product: a child is trained on all samples through the joint probability of "
            "its chain"
        ),
        unfit=parents_are_binary,
    ),
    "escm2_ipw": Entry(
        ESCM2IPW,
        ESCM2Config,
        "Wang et al., SIGIR 2022",
        (
            "entire_space, and the conditional's risk with each seen sample weighted by its "
            "inverse propensity"
        ),
        unfit=parents_are_binary,
        departs=(
            "PaddleRec divides the sum over seen samples by their number, and clips 1 / p "
            "only after dividing by it; here the sum is divided by the number of all samples, "
            "as in the paper, and 1 / p itself is clipped at 15."
        ),
    ),
    "escm2_dr": Entry(
        ESCM2DR,
        ESCM2DRConfig,
        "Wang et al., SIGIR 2022",
        "as escm2_ipw, with the error imputed where it is not seen",
        unfit=parents_are_binary,
        departs=(
            "PaddleRec imputes the error by a probability, and the imputation's loss moves "
            "the conditional, too; here it is a softplus, whose loss moves the imputation "
            "alone, and an estimate below 0 counts as 0."
        ),
    ),
    "direct": Entry(
        Direct,
        NoOptions,
        "-",
        "the joint label of a chain as a task of its own, on all samples",
        unfit=parents_are_binary,
    ),
    "aitm": Entry(
        AITM,
        AITMConfig,
        "Xi et al., KDD 2021",
        "as direct, with hidden units transferred along the chain and a calibrator",
        unfit=parents_are_binary,
    ),
}
FUNNELS = Registry("funnel", _OURS)

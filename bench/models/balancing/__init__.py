"""Balancers: how the tasks' losses or gradients are weighted against each other.

Loss weightings read the losses, gradient aggregations the Gramian of the tasks' gradients, gradient
combinations the gradients; none reads the network. A balancer declares the extra work it needs of a
step (`Balancer.needs`).

All are scaled alike, so one learning rate means the same for each: where the tasks' gradients
agree, every weight is near 1, as with equal static weights. Tests compare them with torchjd.
"""

from bench.core.plugins import Registry
from bench.core.registry import Entry, NoOptions
from bench.models.balancing.aligned_mtl import AlignedMTL, AlignedMTLConfig
from bench.models.balancing.base import (
    Balancer,
    GradientAggregation,
    GradientCombination,
    LossWeighting,
)
from bench.models.balancing.dwa import DWA, DWAConfig
from bench.models.balancing.equal_cosines import IMTLG, ConFIG
from bench.models.balancing.famo import FAMO, FAMOConfig
from bench.models.balancing.graddrop import GradDrop, GradDropConfig
from bench.models.balancing.gradnorm import GradNorm, GradNormConfig
from bench.models.balancing.least_distance import MGDA, CAGrad, CAGradConfig, UPGrad
from bench.models.balancing.metabalance import MetaBalance, MetaBalanceConfig
from bench.models.balancing.nash_mtl import FairGrad, FairGradConfig, NashMTL
from bench.models.balancing.pairwise import GradVac, GradVacConfig, PCGrad
from bench.models.balancing.remembering import DBMTL, DBMTLConfig, MoCo, MoCoConfig
from bench.models.balancing.stateless import GLS, RLW, Static, StaticConfig
from bench.models.balancing.stch import STCH, STCHConfig
from bench.models.balancing.uncertainty import RevisedUncertainty, Uncertainty

_OURS: dict[str, Entry[Balancer]] = {
    # Loss weightings: one backward pass.
    "static": Entry(Static, StaticConfig, "-", "fixed task weights, equal by default"),
    "uncertainty": Entry(
        Uncertainty, NoOptions, "Kendall et al., CVPR 2018", "weights learned as task noise"
    ),
    "revised_uncertainty": Entry(
        RevisedUncertainty,
        NoOptions,
        "Liebel & Körner, 2018",
        "uncertainty whose regulariser is never negative",
    ),
    "dwa": Entry(DWA, DWAConfig, "Liu et al., CVPR 2019", "more weight where a loss falls slowly"),
    "gls": Entry(GLS, NoOptions, "Chennupati et al., CVPRW 2019", "geometric mean of the losses"),
    "rlw": Entry(
        RLW, NoOptions, "Lin et al., TMLR 2022", "random weights each step: the noise control"
    ),
    "famo": Entry(
        FAMO,
        FAMOConfig,
        "Liu et al., NeurIPS 2023",
        "equal relative decrease of losses, looked at again",
        departs=(
            "The loss is T times the authors', so that weights sum to T. On a GPU its steps "
            "are not captured in a CUDA graph, since the second pass draws what the first "
            "drew."
        ),
    ),
    "stch": Entry(
        STCH, STCHConfig, "Lin et al., ICML 2024", "a smooth form of the worst task's loss"
    ),
    # Gradient aggregations by the Gramian: a backward pass for each task.
    "pcgrad": Entry(
        PCGrad,
        NoOptions,
        "Yu et al., NeurIPS 2020",
        "conflicting gradients projected off each other",
    ),
    "gradvac": Entry(
        GradVac, GradVacConfig, "Wang et al., ICLR 2021", "gradients turned to their usual cosines"
    ),
    "mgda": Entry(
        MGDA,
        NoOptions,
        "Désidéri, CRAS 2012; Sener & Koltun, NeurIPS 2018",
        "the minimum-norm convex combination",
        departs=(
            "Weights are for what tasks share alone, as in LibMTL; in Sener & Koltun's code "
            "they weigh the losses, and so the towers, too."
        ),
    ),
    "cagrad": Entry(
        CAGrad,
        CAGradConfig,
        "Liu et al., NeurIPS 2021",
        "the worst task's best direction near the mean",
    ),
    "upgrad": Entry(
        UPGrad,
        NoOptions,
        "Quinton & Rey, 2024",
        "each gradient projected to conflict with none, summed",
    ),
    "aligned_mtl": Entry(
        AlignedMTL,
        AlignedMTLConfig,
        "Senushkin et al., CVPR 2023",
        "principal components of equal norm",
    ),
    "conflict_free": Entry(
        ConFIG, NoOptions, "Liu et al., ICLR 2025", "ConFIG: one cosine to every gradient"
    ),
    "imtl_g": Entry(
        IMTLG,
        NoOptions,
        "Liu et al., ICLR 2021",
        "equal projections on unit gradients, weights sum to T",
    ),
    "nash_mtl": Entry(
        NashMTL,
        NoOptions,
        "Navon et al., ICML 2022",
        "the Nash bargaining solution",
        departs=(
            "The authors' code linearises, and cuts the shared gradient's norm to 1; here the "
            "solution is exact, and weights are scaled to sum_i w_i |g_i| = sum_i |g_i|."
        ),
    ),
    "fairgrad": Entry(
        FairGrad,
        FairGradConfig,
        "Ban & Ji, ICML 2024",
        "alpha-fair allocation of progress",
        departs=(
            "The authors' least squares stops early and leaves the solution's norm as it is; "
            "here it is exact, and scaled as that of `nash_mtl`."
        ),
    ),
    "gradnorm": Entry(
        GradNorm,
        GradNormConfig,
        "Chen et al., ICML 2018",
        "larger gradients to slower tasks",
        departs=(
            "Norms are divided by their mean, gradient descent stands for Adam, and the first "
            "virtual epoch's mean losses for those of the first batch."
        ),
    ),
    # Gradient combinations: a backward pass for each task, and more passes over the gradients.
    "graddrop": Entry(
        GradDrop, GradDropConfig, "Chen et al., NeurIPS 2020", "one sign drawn in every coordinate"
    ),
    "metabalance": Entry(
        MetaBalance,
        MetaBalanceConfig,
        "He et al., WWW 2022",
        "auxiliary gradients of the target's norm, by part",
    ),
    "moco": Entry(
        MoCo,
        MoCoConfig,
        "Fernando et al., ICLR 2023",
        "minimum-norm combination of remembered gradients",
    ),
    "db_mtl": Entry(
        DBMTL, DBMTLConfig, "Lin et al., 2023", "remembered gradients of log losses, of equal norm"
    ),
}
BALANCING = Registry("balancing", _OURS)

__all__ = [
    "BALANCING",
    "SAME_DIRECTION",
    "Balancer",
    "GradientAggregation",
    "GradientCombination",
    "LossWeighting",
    "method",
    "works_on_gradients",
]

SAME_DIRECTION: dict[tuple[str, ...], tuple[int, int | None]] = {
    ("pcgrad", "upgrad"): (2, 2),
    ("conflict_free", "imtl_g", "nash_mtl"): (2, 2),
    ("conflict_free", "imtl_g"): (3, None),
}
"""Balancers whose steps have the same direction -> the least and largest number of tasks for which
that holds.

Comparing them would compare a method with itself. The norm of IMTL-G's step differs.
"""


def method(kind: str, tasks: int) -> str:
    """Joins the names of all balancers that act like this one with this number of tasks (`pcgrad =
    upgrad`).
    """
    for names, (min_tasks, max_tasks) in SAME_DIRECTION.items():
        if kind in names and min_tasks <= tasks <= (max_tasks or tasks):
            return " = ".join(names)
    return kind


def works_on_gradients(kind: str) -> bool:
    """Whether a balancer of this kind reads gradients rather than losses."""
    if kind not in BALANCING:
        return False
    build = BALANCING[kind].build
    return isinstance(build, type) and issubclass(build, GradientAggregation | GradientCombination)

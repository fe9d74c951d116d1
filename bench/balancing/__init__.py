"""Balancers: how the tasks' losses or gradients are weighed against each other.

Loss weightings see the losses, gradient aggregations see the Gramian of the tasks' gradients; neither sees a network.
All are scaled alike, so that one learning rate means the same to each: where the tasks do not differ, every task's
weight is 1, as with equal static weights. What torchjd has is taken from it, except where its state would be missing
from `state_dict`, a task without samples would upset it, or its solver is inexact or needs a further package.
"""

from bench.balancing.base import Balancer, GradientAggregation, LossWeighting
from bench.balancing.cagrad import CAGrad, CAGradConfig
from bench.balancing.dwa import DWA, DWAConfig
from bench.balancing.gls import GLS
from bench.balancing.mgda import MGDA
from bench.balancing.pcgrad import PCGrad
from bench.balancing.rlw import RLW
from bench.balancing.static import Static, StaticConfig
from bench.balancing.uncertainty import Uncertainty
from bench.balancing.upgrad import UPGrad
from bench.registry import Entry, NoOptions

BALANCING: dict[str, Entry[Balancer]] = {
    "static": Entry(Static, StaticConfig, "-", "fixed task weights, equal by default"),
    "uncertainty": Entry(Uncertainty, NoOptions, "Kendall et al., CVPR 2018", "weights learned as task noise"),
    "dwa": Entry(DWA, DWAConfig, "Liu et al., CVPR 2019", "more weight where a loss falls slowly"),
    "gls": Entry(GLS, NoOptions, "Chennupati et al., CVPRW 2019", "geometric mean of the losses"),
    "rlw": Entry(RLW, NoOptions, "Lin et al., TMLR 2022", "random weights each step: the noise control"),
    "pcgrad": Entry(PCGrad, NoOptions, "Yu et al., NeurIPS 2020", "conflicting gradients projected off each other"),
    "mgda": Entry(
        MGDA, NoOptions, "Désidéri, CRAS 2012; Sener & Koltun, NeurIPS 2018", "the shortest convex combination"
    ),
    "cagrad": Entry(CAGrad, CAGradConfig, "Liu et al., NeurIPS 2021", "the worst task's best direction near the mean"),
    "upgrad": Entry(UPGrad, NoOptions, "Quinton & Rey, 2024", "each gradient projected to conflict with none, summed"),
}

__all__ = ["BALANCING", "Balancer", "GradientAggregation", "LossWeighting"]

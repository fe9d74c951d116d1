"""Sharing kinds: how tasks share a representation. One file each, one entry each in `SHARING`."""

from __future__ import annotations

from bench.core.plugins import Registry
from bench.core.registry import Entry, NoOptions
from bench.models.contracts import Sharing
from bench.models.model_options import HiddenConfig
from bench.models.sharing.adatt import AdaTT, AdaTTConfig
from bench.models.sharing.by_scenario import ScenarioConfig, has_scenarios
from bench.models.sharing.cgc import CGC
from bench.models.sharing.cross_stitch import CrossStitch, CrossStitchConfig
from bench.models.sharing.mlora import MLoRA, MLoRAConfig
from bench.models.sharing.mmoe import MMoE, MMoEConfig
from bench.models.sharing.omoe import OMoE
from bench.models.sharing.pepnet import PEPNet, PEPNetConfig, has_fields
from bench.models.sharing.ple import PLE, CGCConfig, PLEConfig
from bench.models.sharing.shared_bottom import SharedBottom
from bench.models.sharing.shared_embeddings import SharedEmbeddings
from bench.models.sharing.single_task import SingleTask
from bench.models.sharing.star import Star
from bench.models.sharing.stem import STEM

_OURS: dict[str, Entry[Sharing]] = {
    "single_task": Entry(
        SingleTask, HiddenConfig, "-", "a whole model per task, nothing shared: the baseline"
    ),
    "shared_embeddings": Entry(
        SharedEmbeddings, NoOptions, "Ma et al., SIGIR 2018", "towers directly on shared embeddings"
    ),
    "shared_bottom": Entry(
        SharedBottom, HiddenConfig, "Caruana, Machine Learning 1997", "one bottom for all tasks"
    ),
    "omoe": Entry(
        OMoE,
        MMoEConfig,
        "Jacobs et al., Neural Computation 1991",
        "shared experts, mixed by one gate for all tasks",
    ),
    "mmoe": Entry(
        MMoE, MMoEConfig, "Ma et al., KDD 2018", "shared experts, mixed by a gate for each task"
    ),
    "cgc": Entry(
        CGC,
        CGCConfig,
        "Tang et al., RecSys 2020",
        "shared and own experts, mixed by a gate for each task: one level of ple",
    ),
    "ple": Entry(
        PLE,
        PLEConfig,
        "Tang et al., RecSys 2020",
        "shared and own experts in levels, mixed by gates",
    ),
    "cross_stitch": Entry(
        CrossStitch,
        CrossStitchConfig,
        "Misra et al., CVPR 2016",
        "a network for each task, mixed by a learned matrix after every layer",
    ),
    "adatt": Entry(
        AdaTT,
        AdaTTConfig,
        "Li et al., KDD 2023",
        "own experts, fused over all tasks beside a residual of the task's own, in levels",
    ),
    "stem": Entry(
        STEM,
        CGCConfig,
        "Su et al., AAAI 2024",
        (
            "embeddings and experts of each task beside shared ones; gradients do not reach other "
            "tasks'"
        ),
    ),
    "pepnet": Entry(
        PEPNet,
        PEPNetConfig,
        "Chang et al., KDD 2023",
        "a network for each task, its input and layers scaled by gates that see where and who",
        unfit=has_fields,
    ),
    "star": Entry(
        Star,
        ScenarioConfig,
        "Sheng et al., CIKM 2021",
        "one bottom for all tasks, its weights multiplied by those of the row's scenario",
        unfit=has_scenarios,
        departs=(
            "The paper's partitioned normalisation is left out, because models here keep no "
            "running statistics. Its auxiliary network is left out, because the scenario is "
            "an input of the bottom. The towers have no weights by scenario."
        ),
    ),
    "mlora": Entry(
        MLoRA,
        MLoRAConfig,
        "Yang et al., RecSys 2024",
        "one bottom for all tasks, with a low-rank addition of the row's scenario to each layer",
        unfit=has_scenarios,
        departs=(
            "The paper trains shared weights first and then the additions alone; here both "
            "are trained together. U begins near zero, not at zero, so that V has a gradient "
            "from the first step. The towers have no additions."
        ),
    ),
}
SHARING = Registry("sharing", _OURS)

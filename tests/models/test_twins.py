"""Ways of sharing beside twins in numpy, written from the papers; most have no public
implementation.

Of cross-stitch there is one, in LibMTL 1.1.5, but with one row of weights for all tasks in the
place of a matrix. Twins go sample by sample, task by task, expert by expert, and know of ours the
names of its parameters alone.
"""

from itertools import chain

import numpy as np
import pytest
import torch

from bench.models.sharing import SHARING

INPUTS, BATCH, PRIOR, DOMAIN = 10, 6, (2, 3), (5, 6, 7)
SCENARIOS, CODES = 3, (2, 0, 2, 1, 3, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum()


def relu(x):
    return np.maximum(x, 0)


def mlp(w, prefix, expert, x, act=relu, normalised=False):
    number = 0
    while f"{prefix}.layers.{number}.weight" in w:
        x = (
            w[f"{prefix}.layers.{number}.weight"][expert] @ x
            + w[f"{prefix}.layers.{number}.bias"][expert]
        )
        if normalised:
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
            x = (
                x * w[f"{prefix}.norms.{number}.scale"][expert]
                + w[f"{prefix}.norms.{number}.shift"][expert]
            )
        x, number = act(x), number + 1
    return x


def gated(scores, experts):
    return sum(g * e for g, e in zip(softmax(scores), experts, strict=True))


def single_task(w, x, tasks, c):
    return [mlp(w, "bottoms", t, x[t]) for t in range(tasks)]


def shared_embeddings(w, x, tasks, c):
    return [x[0]] * tasks


def shared_bottom(w, x, tasks, c):
    return [mlp(w, "bottom", 0, x[0])] * tasks


def mmoe(w, x, tasks, c):
    """h_k = sum_i g_k(x)_i f_i(x): Ma et al., KDD 2018."""
    experts = [mlp(w, "experts", i, x[0]) for i in range(c.experts)]
    return [gated(gate @ x[0], experts) for gate in w["gates.linear.weight"]]


def omoe(w, x, tasks, c):
    """The same with one gate."""
    return mmoe(w, x, tasks, c) * tasks


def level(w, prefix, x, common, c):
    """g_k(x) = w_k(x) S_k(x), S_k the outputs of own and shared experts, and that of the shared
    gate where one is.
    """
    own_outputs = [
        [mlp(w, f"{prefix}.own", k * c.own_experts + i, task_input) for i in range(c.own_experts)]
        for k, task_input in enumerate(x)
    ]
    shared = [mlp(w, f"{prefix}.shared", i, common) for i in range(c.shared_experts)]
    gates, of_all = (w.get(f"{prefix}.{name}.linear.weight") for name in ("gates", "shared_gate"))
    outputs = [
        gated(gate @ task_input, experts + shared)
        for gate, task_input, experts in zip(gates, x, own_outputs, strict=True)
    ]
    return outputs, None if of_all is None else gated(
        of_all[0] @ common, [*chain(*own_outputs), *shared]
    )


def cgc(w, x, tasks, c):
    """One level: Tang et al., RecSys 2020."""
    return level(w, "level", [x[0]] * tasks, x[0], c)[0]


def ple(w, x, tasks, c):
    """Several levels, of the same paper."""
    of_tasks, common = [x[0]] * tasks, x[0]
    for number in range(c.levels):
        of_tasks, common = level(w, f"levels.{number}", of_tasks, common, c)
    return of_tasks


def cross_stitch(w, x, tasks, c):
    """x~_t = sum_s alpha_ts x_s after each layer: Misra et al., CVPR 2016."""
    h = [x[0]] * tasks
    for number in range(len(c.layers)):
        units = [mlp(w, f"layers.{number}", t, h[t]) for t in range(tasks)]
        alpha = w[f"stitches.{number}"]
        h = [sum(alpha[t, s] * units[s] for s in range(tasks)) for t in range(tasks)]
    return h


def adatt(w, x, tasks, c):
    """FU_t = gated sum of all experts + linear sum of the native ones: Li et al., KDD 2023."""
    h, common = [x[0]] * tasks, x[0]
    for level in range(c.levels):
        native = [
            [
                mlp(w, f"own.{level}.experts", t * c.own_experts + i, h[t])
                for i in range(c.own_experts)
            ]
            for t in range(tasks)
        ]
        shared = [mlp(w, f"shared.{level}.experts", i, common) for i in range(c.shared_experts)]
        all_experts = [expert for group in native for expert in group] + shared

        def unit(prefix, number, query, natives, experts=all_experts):
            gate = softmax(w[f"{prefix}.gates.linear.weight"][number] @ query)
            v = w[f"{prefix}.residual"][number] if len(natives) > 1 else [1.0]
            return sum(g * e for g, e in zip(gate, experts, strict=True)) + sum(
                a * e for a, e in zip(v, natives, strict=True)
            )

        following = [unit(f"own.{level}", t, h[t], native[t]) for t in range(tasks)]
        if shared and level < c.levels - 1:
            common = unit(f"shared.{level}", 0, common, shared)
        h = following
    return h


def stem(w, x, tasks, c):
    """A gate on the sum of both embeddings over the experts of all tasks and the shared ones: Su et
    al., AAAI 2024.
    """
    experts = [
        mlp(w, "own", t * c.own_experts + i, x[1 + t])
        for t in range(tasks)
        for i in range(c.own_experts)
    ]
    experts += [mlp(w, "shared", i, x[0]) for i in range(c.shared_experts)]
    outputs = []
    for t in range(tasks):
        outputs.append(gated(w["gates.linear.weight"][t] @ (x[1 + t] + x[0]), experts))
    return outputs


def pepnet(w, x, tasks, c):
    """delta = 2 sigmoid(W' relu(W [prior, sg(x)] + b) + b') on input and layers: Chang et al., KDD
    2023.
    """

    def gate(prefix, number, seen):
        hidden = mlp(w, f"{prefix}.hidden", number, seen)
        return 2 * sigmoid(
            w[f"{prefix}.output.weight"][number] @ hidden + w[f"{prefix}.output.bias"][number]
        )

    prior = x[0][list(PRIOR)]
    scaled = x[0] * gate("of_input", 0, np.concatenate([x[0][list(DOMAIN)], x[0]]))
    outputs = []
    for t in range(tasks):
        h = scaled
        for number in range(len(c.layers)):
            h = mlp(w, f"layers.{number}", t, h) * gate(
                f"gates.{number}", t, np.concatenate([prior, scaled])
            )
        outputs.append(h)
    return outputs


def star(w, x, tasks, c, code):
    """W* = W * W_s and b* = b + b_s of the row's scenario s, W_s = 1 + scale_s: Sheng et al., CIKM
    2021.
    """
    h = x[0]
    for layer in range(len(c.layers)):
        weight, bias = w[f"bottom.layers.{layer}.weight"][0], w[f"bottom.layers.{layer}.bias"][0]
        if code:
            weight = weight * (1 + w[f"own.{layer}.scale"][code - 1])
            bias = bias + w[f"own.{layer}.shift"][code - 1]
        h = relu(weight @ h + bias)
    return [h] * tasks


def mlora(w, x, tasks, c, code):
    """h = W x + b + B_s A_s x of the row's scenario s: Yang et al., RecSys 2024."""
    h = x[0]
    for layer in range(len(c.layers)):
        z = w[f"bottom.layers.{layer}.weight"][0] @ h + w[f"bottom.layers.{layer}.bias"][0]
        if code:
            z = z + w[f"own.{layer}.up"][code - 1] @ (w[f"own.{layer}.down"][code - 1] @ h)
        h = relu(z)
    return [h] * tasks


CASES = [
    (single_task, {"layers": "8-4"}),
    (shared_embeddings, {}),
    (shared_bottom, {"layers": "8-4"}),
    (mmoe, {"experts": 5, "layers": "8-4"}),
    (ple, {"levels": 2, "shared_experts": 3, "own_experts": 1, "layers": "8-4"}),
    (ple, {"levels": 3, "shared_experts": 1, "own_experts": 2, "layers": "8-4"}),
    (omoe, {"experts": 3, "layers": "8-4"}),
    (cgc, {"shared_experts": 2, "own_experts": 3, "layers": "8-4"}),
    (cross_stitch, {"layers": "8-5-4"}),
    (adatt, {"levels": 2, "own_experts": 2, "layers": "8-4"}),
    (adatt, {"levels": 3, "own_experts": 1, "shared_experts": 2, "layers": "4"}),
    (stem, {"own_experts": 2, "shared_experts": 1, "layers": "8-4"}),
    (pepnet, {"layers": "8-4", "gate_width": 5}),
]


def build(twin, options, tasks):
    entry = SHARING[twin.__name__]
    extra = {pepnet: (PRIOR, DOMAIN), star: (SCENARIOS,), mlora: (SCENARIOS,)}.get(twin, ())
    sharing = entry.build(INPUTS, tasks, entry.config.model_validate(options), *extra).double()
    for parameter in sharing.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return sharing, {name: tensor.numpy() for name, tensor in sharing.state_dict().items()}


def inputs(sharing, tasks):
    return torch.randn(sharing.input_sets(tasks), BATCH, INPUTS, dtype=torch.float64)


def by_twin(twin, options, weights, x, tasks, *extra):
    config = SHARING[twin.__name__].config.model_validate(options)
    samples = [
        np.stack(twin(weights, x[:, b].numpy(), tasks, config, *extra)) for b in range(x.shape[1])
    ]
    return torch.from_numpy(np.stack(samples, axis=1))


@pytest.mark.parametrize(("twin", "options"), CASES)
@pytest.mark.parametrize("tasks", [1, 3])
def test_equals_its_twin(twin, options, tasks):
    """In value; that gradients are those of plain torch is for `test_fused.py`."""
    sharing, weights = build(twin, options, tasks)
    x = inputs(sharing, tasks)
    outputs = sharing.eval()(x).detach().expand(tasks, -1, -1)
    torch.testing.assert_close(
        outputs, by_twin(twin, options, weights, x, tasks), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    ("twin", "options"),
    [(star, {"layers": "8-4"}), (mlora, {"layers": "8-4", "rank": 2}), (mlora, {"layers": "5"})],
)
@pytest.mark.parametrize("compiling", [False, True])
def test_rows_of_a_scenario_equal_its_twin(twin, options, compiling, monkeypatch):
    """Sorted by scenario, and as a packaged model computes; rows of code 0 have the shared part
    alone.
    """
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    sharing, weights = build(twin, options, 2)
    x, config = inputs(sharing, 2), SHARING[twin.__name__].config.model_validate(options)
    rows = [twin(weights, x[:, b].numpy(), 1, config, code)[0] for b, code in enumerate(CODES)]
    outputs = sharing(x, torch.tensor(CODES))
    torch.testing.assert_close(
        outputs, torch.from_numpy(np.stack(rows)).unsqueeze(0), rtol=1e-9, atol=1e-9
    )
    shared = [twin(weights, x[:, b].numpy(), 1, config, 0)[0] for b in range(BATCH)]
    torch.testing.assert_close(
        sharing(x), torch.from_numpy(np.stack(shared)).unsqueeze(0), rtol=1e-9, atol=1e-9
    )
    assert sharing(x[:, :0], torch.tensor(CODES)[:0]).shape == (1, 0, config.layers[-1])


@pytest.mark.parametrize("tasks", [2, 4])
def test_stems_gradients_stay_at_home(tasks):
    """No gradient of a task at another's embeddings; at its own, that of the mixture, by finite
    differences.
    """
    sharing, _ = build(stem, {"own_experts": 2, "shared_experts": 2, "layers": "8-4"}, tasks)
    x = inputs(sharing, tasks).requires_grad_()
    h = sharing(x)
    for task in range(tasks):
        (gradient,) = torch.autograd.grad(h[task].sum(), x, retain_graph=True)
        touched = gradient.flatten(1).any(dim=1).tolist()
        assert touched == [True, *(column == task for column in range(tasks))]
        for place in (0, 1 + task):
            step = torch.zeros_like(x)
            step[place, 2, 3] = 1e-6
            with torch.no_grad():
                slope = (sharing(x + step)[task] - sharing(x - step)[task]).sum() / 2e-6
            torch.testing.assert_close(gradient[place, 2, 3], slope, rtol=1e-5, atol=1e-7)
    changed = x.detach().clone()
    changed[tasks] += 1.0
    assert not torch.equal(
        sharing(changed)[0], h[0]
    )  # all forward: it does read the others' experts

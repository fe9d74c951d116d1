"""Each funnel: its losses against a formula, its probabilities, and where they are least."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from model_toys import funnel_on

from bench.core.registry import NoOptions
from bench.core.schema import Schema, Task
from bench.models.contracts import Funnel
from bench.models.funnels import FUNNELS
from bench.models.funnels.aitm import AlongChains
from bench.models.funnels.direct import Direct
from bench.models.funnels.entire_space import EntireSpace
from bench.models.funnels.escm2_dr import ESCM2DR
from bench.models.funnels.escm2_ipw import ESCM2IPW
from bench.models.funnels.independent import Independent
from bench.models.funnels.links import Links
from bench.models.thinned import Thinned, Thinning

NAN = math.nan
CHAIN = Schema((), (), (Task("click"), Task("cart", parent="click"), Task("buy", parent="cart")))
TREE = Schema(
    (),
    (),
    (Task("buy", parent="click"), Task("click"), Task("like", parent="click"), Task("other")),
)


def labels_of(schema, batch):
    """Consistent labels: a child, which may be before its parent, happens only where its parent
    did.
    """
    labels = (torch.rand(batch, len(schema.tasks)) < 0.6).double()
    for task in range(len(schema.tasks)):
        labels[:, task] = labels[:, list(schema.chain(task))].prod(1)
    return labels


@pytest.mark.parametrize("schema", [CHAIN, TREE], ids=["chain", "tree"])
def test_entire_space_is_the_naive_product_formula(schema):
    tasks = len(schema.tasks)
    logits = (2 * torch.randn(200, tasks, dtype=torch.float64)).requires_grad_()
    labels = labels_of(schema, 200)
    losses = EntireSpace(schema, NoOptions()).losses(logits, labels)
    naive = []
    for task in range(tasks):
        chain = list(schema.chain(task))
        naive.append(
            F.binary_cross_entropy(logits[:, chain].sigmoid().prod(1), labels[:, chain].prod(1))
        )
    naive = torch.stack(naive)
    torch.testing.assert_close(losses, naive, rtol=1e-10, atol=1e-10)
    weights = torch.rand(tasks, dtype=torch.float64)
    (a,) = torch.autograd.grad(losses @ weights, logits)
    (b,) = torch.autograd.grad(naive @ weights, logits)
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_joint_logits_are_as_precise_in_single_as_in_double_where_the_product_is_not():
    links = Links(CHAIN)
    logits = torch.tensor(
        [[60.0, 70.0, 80.0], [-60.0, -70.0, -80.0], [90.0, -90.0, 0.0], [17.0, 18.0, 16.0]]
    )
    exact = torch.tensor(
        [
            [
                60.0,
                60.0 - math.log1p(math.exp(-10)),
                60.0 - math.log(1 + math.exp(-10) + math.exp(-20)),
            ],
            [-60.0, -130.0, -210.0],
            [90.0, -90.0, -90.0 - math.log(2)],
            [
                17.0,
                17.0 - math.log1p(math.exp(-1)),
                17.0 - math.log(math.exp(0) + math.exp(-1) + math.exp(1)),
            ],
        ]
    )
    torch.testing.assert_close(links.joint_logits(logits), exact, rtol=1e-6, atol=1e-6)
    assert torch.autograd.gradcheck(
        links.joint_logits, torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    )


@pytest.mark.parametrize("funnel", FUNNELS)
def test_loss_and_gradient_are_finite_at_extreme_logits(funnel):
    built = funnel_on(CHAIN, funnel)
    values = list(itertools.product([-1e4, -100.0, 0.0, 100.0, 1e4], repeat=3))
    logits = torch.tensor(
        [(*row, *row[1:])[: len(built.outputs)] for row in values], requires_grad=True
    )
    for labels in itertools.product([0.0, 1.0, NAN], repeat=3):
        losses = built.losses(logits, torch.tensor(labels).expand(len(logits), 3))
        (gradient,) = torch.autograd.grad(losses.sum(), logits)
        assert losses.isfinite().all()
        assert (losses >= 0).all()
        assert gradient.isfinite().all()
        if not isinstance(built, ESCM2IPW):
            assert (
                gradient.abs() <= 3 / len(logits) + 1e-6
            ).all()  # one for each loss of the chain, no more
        elif not isinstance(built, ESCM2DR):
            assert (gradient.abs() <= (3 + built.config.clip) / len(logits) + 1e-6).all()


def test_independent_trains_each_task_on_its_own_space():
    logits = torch.randn(50, 3, dtype=torch.float64)
    labels = labels_of(CHAIN, 50)
    losses = Independent(CHAIN, NoOptions()).losses(logits, labels)
    for task, space in enumerate([labels[:, 0] >= 0, labels[:, 0] == 1, labels[:, 1] == 1]):
        expected = F.binary_cross_entropy_with_logits(logits[space, task], labels[space, task])
        torch.testing.assert_close(losses[task], expected)


@pytest.mark.parametrize("funnel", FUNNELS)
def test_joint_is_the_product_of_conditionals_and_never_above_the_parents(funnel):
    schema = Schema((), (), (*CHAIN.tasks, Task("watch", "regression", parent="click")))
    built = funnel_on(schema, funnel)
    logits = 10 * torch.randn(502, len(built.outputs))
    logits[500:] = torch.tensor([[1e4], [-1e4]])
    p = built.probabilities(logits)
    for task in range(3):
        if not isinstance(built, Direct):
            torch.testing.assert_close(p.conditional[:, task], logits[:, task].sigmoid())
        torch.testing.assert_close(
            p.joint[:, task], p.conditional[:, list(schema.chain(task))].prod(1)
        )
    assert ((p.conditional[:, :3] >= 0) & (p.conditional[:, :3] <= 1)).all()
    assert (p.joint[:, 1] <= p.joint[:, 0]).all()
    assert (p.joint[:, 2] <= p.joint[:, 1]).all()
    assert torch.equal(p.conditional[:, 3], logits[:, 3])
    assert torch.equal(p.joint[:, 3], logits[:, 3])


@pytest.mark.parametrize("funnel", FUNNELS)
def test_it_starts_at_the_means_of_each_sample_space(funnel):
    schema = Schema(
        (), (), (*CHAIN.tasks, Task("watch", "regression", parent="click"), Task("like"))
    )
    built = funnel_on(schema, funnel)
    start = built.start(torch.tensor([0.05, 0.2, 0.002, 3.5, NAN]))
    assert start.shape == (len(built.outputs),)
    p = built.probabilities(start.float().unsqueeze(0))
    torch.testing.assert_close(p.conditional, torch.tensor([[0.05, 0.2, 0.002, 3.5, 0.5]]))
    assert built.start(torch.tensor([0.0, 1.0, 0.0, 0.0, NAN])).isfinite().all()


MORE = (Task("again", parent="buy"), Task("other"), Task("watch", "regression", parent="click"))
DEEP = Schema((), (), (*TREE.tasks[:3], *MORE))


def test_each_joint_label_is_a_task_of_its_own():
    logits = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    labels = (torch.rand(50, 3, dtype=torch.float64) < 0.7).double().cumprod(1)
    losses = funnel_on(CHAIN, "direct").losses(logits, labels)
    torch.testing.assert_close(
        losses, F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(0)
    )
    for task in range(3):
        (gradient,) = torch.autograd.grad(losses[task], logits, retain_graph=True)
        assert gradient.any(dim=0).tolist() == [place == task for place in range(3)]


@pytest.mark.parametrize("kind", ["direct", "aitm"])
def test_what_is_predicted_is_no_more_likely_than_its_parent(kind):
    p = funnel_on(CHAIN, kind).probabilities(
        torch.logit(torch.tensor([[0.5, 0.2, 0.1], [0.5, 0.8, 0.6], [0.2, 0.1, 0.4]]))
    )
    torch.testing.assert_close(
        p.joint, torch.tensor([[0.5, 0.2, 0.1], [0.5, 0.5, 0.5], [0.2, 0.1, 0.1]])
    )
    torch.testing.assert_close(
        p.conditional, torch.tensor([[0.5, 0.4, 0.5], [0.5, 1.0, 1.0], [0.2, 0.5, 1.0]])
    )


def test_the_calibrator_is_the_mean_excess_over_the_parent():
    logits = torch.logit(
        torch.tensor([[0.5, 0.2, 0.6], [0.5, 0.8, 0.7], [0.3, 0.9, 0.9]], dtype=torch.float64)
    )
    labels = torch.tensor(
        [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [math.nan, 1.0, 0.0]], dtype=torch.float64
    )
    plain = funnel_on(CHAIN, "direct").losses(logits, labels)
    weighed = funnel_on(CHAIN, "aitm", calibrator=2.0)
    extra = weighed.losses(logits, labels) - plain  # of the last sample nothing is known
    torch.testing.assert_close(
        extra, torch.tensor([0.0, 2 * 0.3 / 2, 2 * 0.4 / 2], dtype=torch.float64)
    )


def test_the_transfer_is_the_papers_sample_by_sample():
    """z_t = w_p W3 p + w_q W3 q, w = softmax(<W1 u, W2 u> / sqrt k), u in {p, q}: Xi et al., KDD
    2021.
    """
    width, parents = 5, DEEP.parents
    chains = AlongChains(DEEP, width).double()
    links = [[(0, 0, 1), (1, 2, 1), (2, 5, 1)], [(0, 3, 0)]]  # of each round: slice, child, parent
    h = torch.randn(6, 7, width, dtype=torch.float64)
    transferred = chains(h)
    for sample in range(7):
        z = {task: h[task, sample] for task in range(6) if parents[task] is None}
        for transfer, of_round in zip(chains.transfers, links, strict=True):
            layer = transfer.information.layers[0]
            for place, child, parent in of_round:
                p = (layer.weight[place] @ z[parent] + layer.bias[place]).relu()
                pair = [p, h[child, sample]]
                w1, w2, w3 = (
                    m.weight[place] for m in (transfer.query, transfer.key, transfer.value)
                )
                scores = torch.stack(
                    [(w1 @ u) @ (w2 @ u) / math.sqrt(width) for u in pair]
                ).softmax(0)
                z[child] = scores[0] * (w3 @ pair[0]) + scores[1] * (w3 @ pair[1])
        for task, expected in z.items():
            torch.testing.assert_close(transferred[task, sample], expected, rtol=1e-10, atol=1e-10)


KINDS = [("escm2_ipw", {}), ("escm2_dr", {"imputes": "error"}), ("escm2_dr", {"imputes": "label"})]
EACH = pytest.mark.parametrize(("kind", "options"), KINDS, ids=["ipw", "dr error", "dr label"])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def log_loss(p, y):
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def drawn(schema, outputs, batch=40):
    """Logits, and labels of which some are unobserved."""
    labels = labels_of(schema, batch)
    labels = torch.where(torch.rand(labels.shape) < 0.1, NAN, labels)
    return torch.randn(batch, outputs, dtype=torch.float64), labels


def by_hand(kind, schema, options, logits, labels):
    """Sample by sample, the IPW or DR risk beside the joint probability's loss."""
    losses = []
    tied = [task for task in range(len(schema.tasks)) if schema.parents[task] is not None]
    for task in range(len(schema.tasks)):
        *above, _ = schema.chain(task)
        whole, risk, imputation, count = 0.0, 0.0, 0.0, 0
        for z, y in zip(logits.tolist(), labels.tolist(), strict=True):
            stop = next((y[a] for a in above if y[a] != 1), 1.0)  # what is known of the ancestors
            if math.isnan(stop) or (stop == 1 and math.isnan(y[task])):
                continue
            count += 1
            p = math.prod(sigmoid(z[a]) for a in above)
            predicted = sigmoid(z[task])
            whole += log_loss(p * predicted, y[task] if stop == 1 else 0.0)
            if not above:
                continue
            weight = min(1 / p, options["clip"]) if stop == 1 else 0.0
            error = log_loss(predicted, y[task]) if stop == 1 else 0.0
            if kind == "escm2_ipw":
                risk += weight * error
            else:
                extra = z[len(schema.tasks) + tied.index(task)]
                by_error = options["imputes"] == "error"
                imputed = (
                    math.log(1 + math.exp(extra))
                    if by_error
                    else log_loss(predicted, sigmoid(extra))
                )
                risk += imputed + weight * (error - imputed)
                imputation += weight * (error - imputed) ** 2
        whole, risk, imputation = whole / count, max(risk / count, 0.0), imputation / count
        losses.append(
            options["ctcvr_weight"] * whole + options["cvr_weight"] * (risk + imputation)
            if above
            else whole
        )
    return losses


@EACH
@pytest.mark.parametrize("schema", [CHAIN, TREE], ids=["chain", "tree"])
def test_losses_are_the_papers(kind, options, schema):
    options = {"cvr_weight": 0.7, "ctcvr_weight": 1.3, "clip": 5.0} | options
    funnel = funnel_on(schema, kind, **options)
    logits, labels = drawn(schema, len(funnel.outputs))
    expected = torch.tensor(by_hand(kind, schema, options, logits, labels), dtype=torch.float64)
    torch.testing.assert_close(funnel.losses(logits, labels), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("kind", "options", "rate"),
    [
        ("independent", {}, 0.3),
        *((kind, {"ctcvr_weight": 0.0} | options, 0.5) for kind, options in KINDS),
    ],
)
def test_the_selection_bias_of_clicks_is_gone(kind, options, rate):
    """Of 100 impressions clicked at 1/2, a fifth would buy; of 100 clicked at 1/10, four fifths:
    one in two of all.

    Where the conversion's logit is one number for all, it is best at the rate that the funnel aims
    at: 0.3 among the 60 clicks, 0.5 among the 200 impressions that are asked about.
    """
    schema = Schema((), (), (Task("click"), Task("buy", parent="click")))
    funnel = funnel_on(schema, kind, **options)
    click, buy = torch.zeros(2, 100), torch.zeros(2, 100)
    click[0, :50] = click[1, :10] = 1
    buy[0, :10] = buy[1, :8] = 1
    labels = torch.stack([click.flatten(), buy.flatten()], 1).double()
    p_click = torch.tensor([0.5, 0.1], dtype=torch.float64).repeat_interleave(100)
    slopes = []
    for p in (rate - 0.01, rate, rate + 0.01):
        logit = torch.logit(torch.tensor(p, dtype=torch.float64)).requires_grad_()
        extra = [torch.full((200,), 2.0, dtype=torch.float64)] * (len(funnel.outputs) - 2)
        loss = funnel.losses(
            torch.stack([torch.logit(p_click), logit.expand(200), *extra], 1), labels
        )[1]
        slopes.append(float(torch.autograd.grad(loss, logit)[0]))
    assert slopes[0] < -1e-4
    assert abs(slopes[1]) < 1e-9
    assert slopes[2] > 1e-4


TASKS = (Task("click"), Task("buy", parent="click"), Task("like"), Task("stay", "regression"))
# click, buy, like, seconds stayed; and how often, of all data: nothing is independent
CELLS = torch.tensor(
    [
        [0, 0, 0, 0, 0.5],
        [0, 0, 1, 1, 0.1],
        [1, 0, 0, 2, 0.15],
        [1, 0, 1, 5, 0.05],
        [1, 1, 0, 1, 0.05],
        [1, 1, 1, 7, 0.15],
    ],
    dtype=torch.float64,
)
RATE = 0.1


def gradients(funnel, rate, by="click", correct=True):
    """Of each task's loss at the logits of the truth (T, O), over all cells of thinned data."""
    entry = FUNNELS[funnel]
    built: Funnel = entry.build(Schema((), (), TASKS), entry.config())
    labels, often = CELLS[:, :4], CELLS[:, 4]
    click, buy, like = (often @ labels[:, :3]).tolist()
    stay = float(often @ labels[:, 3])
    truth = [click, buy / click if built.conditional else buy, like]
    extra = torch.zeros(len(built.outputs) - len(TASKS), dtype=torch.float64)
    logits = torch.cat(
        [
            torch.logit(torch.tensor(truth, dtype=torch.float64)),
            torch.tensor([stay]).double(),
            extra,
        ]
    )
    logits.requires_grad_()
    negative = labels[:, 0] == 0
    there = torch.where(negative, RATE, 1.0).double() * often
    weights = torch.stack([there, torch.where(negative, 1 / RATE, 1.0).double()], 1)
    whole = logits.expand(len(CELLS), -1)
    if correct:
        thinned = Thinned(built, Thinning(by, rate)).double()
        losses = built.losses(whole + thinned.offset, labels, thinned.weights(weights))
    else:
        losses = built.losses(whole, labels, weights[:, :1])
    return torch.stack([torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in losses])


@pytest.mark.parametrize("rate", [RATE, None])
@pytest.mark.parametrize("funnel", FUNNELS)
def test_the_truth_of_all_data_is_the_optimum(funnel, rate):
    slopes = gradients(funnel, rate)[:, : len(TASKS)]
    torch.testing.assert_close(slopes, torch.zeros_like(slopes), rtol=0, atol=1e-7)
    biased = gradients(funnel, rate, correct=False).abs()
    assert (biased[[0, 2, 3], [0, 2, 3]] > 0.01).all()

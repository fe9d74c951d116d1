"""Each loss against its formula, the scales of regressions, and the tests of `bench.testing` over
the registries.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from model_toys import model_on
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mean_pinball_loss

from bench.core.schema import Cap, Field, Number, Scale, Schema, Task
from bench.data.tasks import scale_of
from bench.models.funnels import FUNNELS
from bench.models.losses import LOSSES, REGRESSION_LOSSES
from bench.models.losses.base import Context, MeanLosses, numbered
from bench.models.targets import Targets

GROUPED = [kind for kind, entry in LOSSES.items() if getattr(entry.build, "needs_groups", False)]
POINTWISE = [kind for kind in LOSSES if kind not in GROUPED]


def made(kind, **options):
    entry = LOSSES[kind]
    return entry.build(entry.config.model_validate(options))


def each(loss, logits, labels, **context):
    return loss(logits, labels, torch.ones_like(labels, dtype=torch.bool), Context(**context))


@pytest.mark.parametrize("kind", POINTWISE)
def test_a_loss_of_single_samples_is_least_at_the_true_probability(kind):
    loss = made(kind)
    for p in (0.003, 0.2, 0.5, 0.9):
        logit = torch.logit(torch.tensor([[p], [p]], dtype=torch.float64)).requires_grad_()
        two_losses = each(loss, logit, torch.tensor([[1.0], [0.0]], dtype=torch.float64)).flatten()
        (slope,) = torch.autograd.grad(p * two_losses[0] + (1 - p) * two_losses[1], logit)
        assert float(slope.sum()) == pytest.approx(0, abs=1e-9)
        assert loss.of_constant(p) == pytest.approx(
            (p * two_losses[0] + (1 - p) * two_losses[1]).item()
        )


def test_weighted_logistic_is_least_at_the_mean_time():
    """Its gradient in the label's unit against a weighted logistic regression of scikit-learn."""
    rng = np.random.default_rng(0)
    x, times = rng.normal(size=(400, 1)), rng.gamma(0.5, 30, 400)
    scale = scale_of(times, log=True)
    schema = Schema((), (), (Task("watch", "regression", scale=scale),))
    entry = REGRESSION_LOSSES["weighted_logistic"]
    loss = entry.build(schema, entry.config()).double()
    classes = np.r_[np.ones(400), np.zeros(400)]
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.r_[x, x], classes, sample_weight=np.r_[1 + times, np.ones(400)]
    )
    logits = torch.from_numpy(fitted.decision_function(x))[:, None].requires_grad_()
    targets = torch.from_numpy((np.log1p(times) - scale.centre) / scale.spread)[:, None]
    losses = loss((logits - scale.centre) / scale.spread, targets, Context())
    (slope,) = torch.autograd.grad(losses.sum(), logits)
    assert float(slope.sum()) == pytest.approx(0, abs=0.05)
    assert float((slope[:, 0] * torch.from_numpy(x[:, 0])).sum()) == pytest.approx(0, abs=0.05)
    assert (losses >= 0).all()
    assert not loss(targets, targets, Context()).any()
    assert "log1p" in (entry.unfit(Schema((), (), (Task("watch", "regression"),))) or "")


def test_huber_is_half_the_square_and_then_a_line():
    entry = REGRESSION_LOSSES["huber"]
    schema = Schema((), (), (Task("watch", "regression"),))
    losses = entry.build(schema, entry.config.model_validate({"delta": 0.5}))(
        torch.tensor([[0.0], [0.4], [-3.0]]), torch.zeros(3, 1), Context()
    )
    torch.testing.assert_close(losses.flatten(), torch.tensor([0.0, 0.08, 0.5 * (3 - 0.25)]))


def of_values(kind, *tasks, **options):
    entry = REGRESSION_LOSSES[kind]
    numbers = (Number("seconds", 0, 1, (0.0, 9.0), (1,)),)
    schema = Schema(
        (), ("seconds", "seconds_missing"), tasks or (Task("watch", "regression"),), numbers=numbers
    )
    return entry.build(schema, entry.config.model_validate(options))


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_quantile_is_the_pinball_loss_and_powells_where_rows_have_bounds(level):
    rng = np.random.default_rng(0)
    predictions, y, bounds = rng.normal(size=(3, 200))
    loss, column = of_values("quantile", level=level), lambda x: torch.from_numpy(x)[:, None]
    plain = loss(column(predictions), column(y), Context())
    assert float(plain.mean()) == pytest.approx(mean_pinball_loss(y, predictions, alpha=level))
    capped = loss(
        column(predictions), column(np.minimum(y, bounds)), Context(bounds=column(bounds))
    )
    expected = mean_pinball_loss(
        np.minimum(y, bounds), np.minimum(predictions, bounds), alpha=level
    )
    assert float(capped.mean()) == pytest.approx(expected)
    assert loss.says == f"{level:g} quantile"


def test_censored_squares_are_tobits_likelihood_and_its_deviation_is_that_of_the_largest_likelihood():
    """A linear model fitted by the loss and its steps of EM, against scipy's maximum of the
    likelihood.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000)
    y, bounds = 0.5 + x + 0.6 * rng.normal(size=4000), rng.normal(0.8, 1, 4000)
    seen, above = np.minimum(y, bounds), y >= bounds

    def negative(parameters):
        mean, deviation = parameters[0] + parameters[1] * x, np.exp(parameters[2])
        return -np.where(
            above, norm.logsf(bounds, mean, deviation), norm.logpdf(seen, mean, deviation)
        ).sum()

    best = minimize(negative, [0.0, 0.0, 0.0]).x
    loss = of_values("squared", Task("watch", "regression", censored=True)).double()
    inputs, targets, upper = (torch.from_numpy(array)[:, None] for array in (x, seen, bounds))
    line = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True)
    context = Context(bounds=upper)
    for _ in range(400):
        outputs = line[0] + line[1] * inputs
        (slope,) = torch.autograd.grad(loss(outputs, targets, context).mean(), line)
        line = (line - slope).detach().requires_grad_()
        loss.follow(outputs.detach(), targets, None, context)
    assert line.tolist() == pytest.approx(best[:2], abs=2e-3)
    assert float(loss.variance.sqrt()) == pytest.approx(np.exp(best[2]), rel=5e-3)
    losses = loss(outputs, targets, context)
    expected = -float(loss.variance) * norm.logsf(
        bounds, outputs.detach()[:, 0], float(loss.variance.sqrt())
    )
    np.testing.assert_allclose(losses.detach()[above, 0], expected[above], rtol=1e-6)
    assert (losses >= 0).all()
    far = loss(
        torch.tensor([[-1e4], [1e4]], dtype=torch.float64), targets[:2], Context(bounds=targets[:2])
    )
    assert far.isfinite().all()


@pytest.mark.parametrize("log", [True, False])
def test_what_is_predicted_of_capped_values_is_their_mean(log):
    """Of a normal and of a log-normal quantity, against draws; without a bound, the mean of all."""
    rng, scale = np.random.default_rng(0), Scale(log, 2.0, 0.5, -9.0, 9.0, 1.0)
    loss = of_values("squared", Task("watch", "regression", scale=scale, censored=True))
    loss.variance.fill_(0.36)
    for bound in (1.2, 2.1, 4.0, 1e30):
        logs = 2.0 + 0.5 * (0.3 + 0.6 * rng.normal(size=400_000))
        drawn = np.minimum(
            np.exp(logs) - 1 if log else logs, np.exp(bound) - 1 if log and bound < 9 else bound
        )
        caps = torch.tensor([[(bound - 2.0) / 0.5]])
        predicted = (
            float(loss.predicted(torch.tensor([[0.3]]), torch.zeros(1, 2), caps)) * 0.5 + 2.0
        )
        assert (np.exp(predicted) - 1 if log else predicted) == pytest.approx(
            drawn.mean(), rel=3e-3
        )
    whole = float(loss.predicted(torch.tensor([[0.3]]), torch.zeros(1, 2))) * 0.5 + 2.0
    assert whole == pytest.approx(predicted)


def binned():
    """`bins` fitted on a share of a duration: the loss, labels, and numbers, of which one in nine
    is missing.
    """
    rng = np.random.default_rng(0)
    duration = rng.uniform(1, 3, 40_000)
    y = np.exp(duration) * rng.beta(2, 2, 40_000)
    dense = np.stack([duration, rng.random(40_000) < 1 / 9], 1)
    dense[dense[:, 1] == 1, 0] = 0
    loss = of_values("bins", Task("watch", "regression", duration="seconds"))
    loss.fit(y[:, None], y[:, None], dense, None, None)
    return loss, y, dense


def test_cuts_of_bins_are_the_levels_quantiles_among_rows_of_the_same_duration():
    loss, y, dense = binned()
    cuts = loss._interpolated(0, torch.from_numpy(dense).float(), loss.cuts)
    above, levels = y[:, None] > cuts.numpy(), loss.thresholds[0].sigmoid().numpy()
    for low, high in ((1, 1.3), (1.9, 2.1), (2.7, 3.1)):
        rows = (dense[:, 0] > low) & (dense[:, 0] < high)
        np.testing.assert_allclose(1 - above[rows].mean(0), levels, atol=0.03)
    without = dense[:, 1] == 1
    np.testing.assert_allclose(1 - above[without].mean(0), levels, atol=0.03)
    assert (cuts[without] == cuts[without][0]).all()


def test_a_prediction_of_bins_is_the_sum_of_probabilities_times_mean_labels():
    loss, _, dense = binned()
    outputs, numbers = torch.randn(50, 1), torch.from_numpy(dense[:50]).float()
    predicted = loss.predicted(outputs, numbers)
    means = loss._interpolated(0, numbers, loss.means)
    for row in range(50):
        above = [1.0, *(outputs[row, 0] - loss.thresholds[0]).sigmoid().tolist(), 0.0]
        parts = [(above[k] - above[k + 1]) * float(means[row, k]) for k in range(means.shape[1])]
        assert float(predicted[row, 0]) == pytest.approx(sum(parts), rel=1e-4, abs=1e-4)


def test_thresholds_of_bins_follow_to_where_the_loss_is_least():
    """To where each one's mean prediction is the share of labels above its cut."""
    loss, y, dense = binned()
    y, dense = y[:1000], dense[:1000]
    loss.thresholds[0] += torch.linspace(-1, 1, loss.thresholds.shape[1])
    outputs = torch.from_numpy(np.log(y) - dense[:, 0])[:, None].float() / 2
    targets = torch.from_numpy(y)[:, None].float()
    context = Context(dense=torch.from_numpy(dense).float())
    for _ in range(600):
        loss.follow(outputs, targets, None, context)
    cuts = loss._interpolated(0, context.dense, loss.cuts)
    for number in (4, 24, 44):
        excess = (outputs - loss.thresholds[0, number]).sigmoid().mean() - (
            targets > cuts[:, number : number + 1]
        ).double().mean()
        assert float(excess) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("kind", LOSSES)
def test_a_task_is_charged_for_its_own_column_and_known_rows_alone(kind):
    torch.manual_seed(0)
    schema = Schema((), (), (Task("a"), Task("b"), Task("c", "regression")))
    loss = MeanLosses(schema, made(kind), of_values("squared", *schema.tasks))
    logits, targets = torch.randn(40, 3, requires_grad=True), (torch.rand(40, 3) < 0.4).float()
    targets[::3, 0] = torch.nan
    context = Context(torch.arange(40) // 6, torch.randn(40, 3, requires_grad=True))
    losses = loss(logits, targets, context=context)
    for task in range(3):
        (slope,) = torch.autograd.grad(losses[task], logits, retain_graph=True)
        assert not slope[:, [column for column in range(3) if column != task]].any()
        assert not slope[targets[:, task].isnan()].any()
    labelled = ~targets[:, 0].isnan()
    _, dense = context.group[labelled].unique(return_inverse=True)
    alone = loss(
        logits[labelled], targets[labelled], context=Context(dense, context.scores[labelled])
    )
    assert float(alone[0]) == pytest.approx(float(losses[0]), rel=1e-5)
    assert loss(logits, torch.full_like(targets, torch.nan), context=context).tolist() == [0, 0, 0]


def in_groups(seed=0):
    """Logits, labels and groups of 60 samples in any order; one group has no positive, one no
    negative, two one row.
    """
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat([0, 1, 2, 3, 4, 5], [20, 17, 12, 9, 1, 1]))
    labels = (rng.random(60) < 0.4).astype(float)
    labels[group == 2], labels[group == 3], labels[group == 4] = 0, 1, 1
    return torch.from_numpy(rng.normal(size=(60, 1))), torch.from_numpy(labels)[:, None], group


def ranked(kind, logits, labels, group, **extra):
    """The ranking term of each sample alone."""
    options, scores = dict(extra), extra.pop("scores", None)
    options.pop("scores", None)
    loss, context = made(kind, **options), Context(numbered(torch.from_numpy(group)), scores)
    weight = loss.config.weight
    log = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    losses = loss(logits, labels, torch.ones_like(labels, dtype=torch.bool), context)
    return ((losses - (1 - weight) * log) / weight).flatten()


def test_listwise_is_the_cross_entropy_of_each_groups_softmax():
    logits, labels, group = in_groups()
    terms = ranked("listwise", logits, labels, group)
    for one in range(6):
        rows = torch.from_numpy(np.flatnonzero(group == one))
        # labels as weights of the classes
        expected = F.cross_entropy(logits[rows, 0][None], labels[rows, 0][None])
        assert float(terms[rows].sum()) == pytest.approx(float(expected))


def test_jrc_is_the_published_code():
    """The code in the paper: two logits, a mask of the batch's contexts, a softmax over the masked
    batch.
    """
    logits, labels, group = in_groups()
    negative = torch.randn(60, 1, dtype=torch.float64)
    logits_of_classes = torch.cat([negative, logits + negative], 1)
    mask = torch.from_numpy(group[:, None] == group[None]).double()
    y = torch.cat([1 - labels, labels], 1)
    tiled = logits_of_classes[:, None].expand(-1, 60, -1) + (1 - mask[:, :, None]) * -1e9
    masked = y[:, None].expand(-1, 60, -1) * mask[:, :, None]
    of_context = sum(-(masked[..., k] * F.log_softmax(tiled[..., k], 0)).sum(0) for k in range(2))
    published = (
        0.3 * F.cross_entropy(logits_of_classes, y) + 0.7 * (of_context / mask.sum(0)).mean()
    )
    loss = made("jrc", weight=0.7)
    ours = loss(
        logits, labels, labels >= 0, Context(numbered(torch.from_numpy(group)), negative)
    ).mean()
    assert float(ours) == pytest.approx(float(published))


@pytest.mark.parametrize("pairs", [1, 7, 60])
def test_bpr_compares_positives_with_negatives_of_their_group(pairs):
    """With as many pairs as the least common multiple of the groups' negatives it is the mean over
    all pairs.
    """
    logits, labels, group = in_groups()
    terms = ranked("bpr", logits, labels, group, pairs=pairs)
    for row in range(60):
        negatives = [j for j in range(60) if group[j] == group[row] and labels[j, 0] == 0]
        if labels[row, 0] == 0 or not negatives:
            assert float(terms[row]) == pytest.approx(0, abs=1e-12)
            continue
        each_pair = F.softplus(logits[negatives, 0] - logits[row, 0]).numpy()
        starts = range(len(negatives))
        cyclic = [
            np.take(each_pair, np.arange(start, start + pairs), mode="wrap").mean()
            for start in starts
        ]
        assert np.abs(np.array(cyclic) - float(terms[row])).min() < 1e-12


@pytest.mark.parametrize("kind", GROUPED)
def test_ranking_leaves_the_mean_prediction_to_the_log_loss(kind):
    """The gradient sums to that of the log loss: at an optimum with an intercept PCOC is 1."""
    logits, labels, group = in_groups()
    logits.requires_grad_()
    terms = ranked(kind, logits, labels, group, scores=torch.randn(60, 1, dtype=torch.float64))
    (slope,) = torch.autograd.grad(terms.sum(), logits)
    assert float(slope.sum()) == pytest.approx(0, abs=1e-9)
    assert slope.abs().max() > 0.01


RNG = np.random.default_rng(3)
# mostly 0, of variance 150 or so
SPEND = np.where(RNG.random(5000) < 0.07, np.exp(RNG.normal(3, 1, 5000)), 0.0)
PRICE = RNG.normal(-50, 20, 5000)


def schema_of(spend=SPEND, parent=None):
    tasks = (
        Task("visit"),
        Task("spend", "regression", parent, scale_of(spend)),
        Task("price", "regression", scale=scale_of(PRICE)),
        Task("raw", "regression"),
    )
    return Schema((Field("user", 40),), ("age",), tasks)


def labels_of(visit=None):
    visit = (RNG.random(5000) < 0.3) if visit is None else visit
    return torch.from_numpy(np.stack([visit, SPEND, PRICE, PRICE], 1)).float()


@pytest.mark.parametrize("funnel", FUNNELS)
def test_an_untrained_model_predicts_the_means_in_their_units_and_losses_begin_alike(funnel):
    model = model_on(schema_of(), funnel=funnel).eval()
    labels = labels_of()
    model.initialise_outputs(labels.mean(0))
    with torch.no_grad():
        model.towers.output.weight.zero_()
        ids, dense = torch.ones(len(labels), 1, dtype=torch.int), torch.zeros(len(labels), 1)
        predicted = model.probabilities(model(ids, dense))
        for prediction in (predicted.conditional, predicted.joint):
            torch.testing.assert_close(prediction[0], labels.mean(0), rtol=1e-3, atol=1e-5)
        visit, spend, price, raw = model.losses(
            model.logits(model.embed(ids), ids, dense), labels
        ).tolist()
    assert 0.1 < visit < 0.7
    assert spend == pytest.approx(0.5, rel=0.01)
    assert price == pytest.approx(0.5, rel=0.01)
    # of a task without a scale nothing is scaled
    assert raw == pytest.approx(PRICE.var() / 2, rel=0.01)


@pytest.mark.parametrize("funnel", FUNNELS)
def test_the_joint_expectation_is_the_conditional_one_times_the_probability_of_the_parent(funnel):
    """Of an ensemble, too; a child before its parent, and a parent that has a parent."""
    spend = Task("spend", "regression", "buy", scale_of(SPEND))
    stay = Task("stay", "regression", "click")
    tasks = (spend, Task("buy", parent="click"), Task("click"), stay, Task("raw", "regression"))
    model = model_on(
        Schema((Field("user", 40),), ("age",), tasks), members=2, sharing="mmoe", funnel=funnel
    ).eval()
    with torch.no_grad():
        predicted = model.probabilities(
            model(torch.arange(1, 31, dtype=torch.int)[:, None], torch.randn(30, 1))
        )
    for task, parent in ((0, 1), (3, 2)):
        torch.testing.assert_close(
            predicted.joint[:, task], predicted.joint[:, parent] * predicted.conditional[:, task]
        )
    assert torch.equal(predicted.joint[:, 4], predicted.conditional[:, 4])
    assert not torch.equal(predicted.joint[:, 1], predicted.conditional[:, 1])


@pytest.mark.parametrize("log", [True, False])
def test_a_prediction_is_at_most_the_bound_that_an_input_has(log):
    """On either scale, of a bound that was standardised with its logarithm or without; not where it
    is missing.
    """
    bounds = torch.tensor([2.0, 50.0, 50.0, 1e4])
    dense = torch.stack(
        [(bounds.log1p() if log else bounds) / 3 - 1, torch.tensor([0.0, 0.0, 1.0, 0.0])], 1
    )
    cap = Cap(0, 1, log, 3.0, 3.0)
    scales = (scale_of(np.abs(SPEND), True), scale_of(-PRICE, False), None)
    tasks = tuple(
        Task(name, "regression", scale=scale, cap=cap)
        for name, scale in zip("abc", scales, strict=True)
    )
    targets = Targets(Schema((), ("seconds", "seconds_missing"), tasks))
    predictions = torch.tensor([70.0, 70, 70, 70])[:, None].expand(4, 3)
    values = targets.values(torch.minimum(targets.of_labels(predictions), targets.caps_of(dense)))
    torch.testing.assert_close(
        values, torch.tensor([2.0, 50, 70, 70])[:, None].expand(4, 3), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("parent", [None, "visit"])
def test_the_mean_prediction_on_train_is_the_mean_label_whatever_the_model_explains(parent):
    """A model that knows half of a log-normal label's logarithm: exp of its output would be too
    low.
    """
    explained, noise = RNG.normal(2, 1, 5000), RNG.normal(0, 1, 5000)
    visit = np.where(np.arange(5000) % 2, 1.0, 0.0) if parent else np.ones(5000)
    # where the parent did not happen, nonsense
    label = np.exp(explained + noise) * np.where(visit == 1, 1, 100)
    targets = Targets(schema_of(label[visit == 1], parent))
    labels = torch.from_numpy(np.stack([visit, label, label, label], 1)).float()
    output = (
        torch.from_numpy(np.log1p(np.exp(explained))).float() - targets.centre[1]
    ) / targets.spread[1]
    outputs = torch.stack([torch.zeros(5000), output, output, output], 1)
    for rows in torch.arange(5000).split(500):
        targets.follow(outputs[rows], labels[rows])
    visited = visit == 1
    mean = label[visited].mean()
    plain, smeared = (
        targets.values(some_outputs)[visited, 1].mean().item()
        for some_outputs in (outputs, targets.corrected(outputs))
    )
    assert plain < 0.7 * mean
    assert smeared == pytest.approx(mean, rel=0.05)
    state = targets.state_dict()
    again = Targets(schema_of(label[visited], parent))
    again.load_state_dict(state)
    assert torch.equal(again.corrected(outputs), targets.corrected(outputs))

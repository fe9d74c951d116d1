import numpy as np
import pandas as pd
from data_toys import known, sample_of

from bench.core.system.progress import Silent
from bench.data.inspection.draft import CardRequest, draft_card, find_parent, proposals
from bench.data.inspection.names import exposure_key
from bench.data.inspection.roles import ColumnDraft

N = 2000
ROWS = {"row": np.arange(N)}
RNG = np.random.default_rng(0)
CLICK = (RNG.random(N) < 0.4).astype(float)
BUY = CLICK * (RNG.random(N) < 0.3)
SPEND = np.where(BUY == 1, RNG.lognormal(3, 1, N), 0)


def test_the_parent_is_the_rarest_event_without_which_there_is_nothing():
    labels = {"click": known(CLICK), "buy": known(BUY), "stay": known(SPEND + 1, binary=False)}

    def parent(values):
        return find_parent(known(values, binary=False), labels)

    assert parent(SPEND) == "buy"
    assert parent(np.where(BUY == 1, SPEND, np.nan)) == "buy"
    assert parent(np.where(CLICK == 1, 2.5, 0)) == "click"
    assert parent(np.where(np.arange(N) == np.argmin(CLICK), 1, SPEND)) is None
    assert parent(SPEND + 1) is None
    assert parent(SPEND * 0) is None


def test_a_label_that_implies_another_is_proposed_as_its_child():
    labels = {"poor": known(1 - CLICK), "buy": known(BUY), "click": known(CLICK)}
    (proposal,) = proposals(sample_of(ROWS), (), labels, None)
    assert (proposal.table, proposal.keys) == ("tasks.buy", {"parent": "click"})
    assert not list(
        proposals(sample_of(ROWS), (), {"click": known(CLICK), "again": known(CLICK)}, None)
    )
    labels["buy"] = known(np.where(np.arange(N) == np.argmin(CLICK), 1, BUY))
    assert not list(proposals(sample_of(ROWS), (), labels, None))


def units(group, **values):
    """What is proposed as units of these columns."""
    sample = sample_of(ROWS | values)
    drafts = [ColumnDraft(name, "input", "", "", 0, 0, (), name, None) for name in values]
    proposed = proposals(
        sample, drafts, {"click": known(CLICK)}, sample.column(group) if group else None
    )
    return [dict(proposal.keys) for proposal in proposed if "units" in proposal.keys]


def test_the_coarsest_id_of_somebody_that_repeats_is_proposed_as_units():
    request = np.arange(N) // 4
    user, household = request % 60, request % 20
    ids = {
        "request_id": request,
        "userId": user,
        "household": household,
        "item_id": RNG.integers(0, 12, N),
    }
    assert units("request_id", **ids) == units(None, **ids) == [{"units": "household"}]
    assert units("userId", **ids) == [{"units": "household"}]
    assert units(None, item_id=ids["item_id"], user_type=user, new_user=user % 2) == []
    assert (
        units("request_id", request_id=request, user_id=np.where(np.arange(N) == 1, 99, user)) == []
    )
    assert units("request_id", request_id=request, user_id=request) == []
    assert units(None, user_id=np.arange(N)) == []


def test_how_a_row_came_to_be_shown_is_no_input_and_is_proposed_as_such(tmp_path):
    rows = {
        "x": RNG.normal(size=N),
        "is_rand": RNG.integers(0, 2, N),
        "random_walk": RNG.normal(size=N),
    }
    rows["shown_at_random"] = np.zeros(N)  # nothing was
    pd.DataFrame(rows | {"click": CLICK.astype(int)}).to_csv(tmp_path / "log.csv", index=False)
    draft = draft_card(CardRequest(files=(tmp_path / "log.csv",), labels=("click",)), Silent())
    assert [column.name for column in draft.of_role("input")] == ["x", "random_walk"]
    assert [dict(proposal.keys) for proposal in draft.proposals] == [{"random": "is_rand"}]
    assert exposure_key("logging_propensity") == "propensity"
    assert exposure_key("random_seed") is None

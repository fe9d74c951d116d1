from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.data.inspection import CardRequest, check_id, draft_card
from bench.system.progress import Silent


def test_a_long_name_of_a_file_makes_an_id_that_a_card_may_have(tmp_path: Path) -> None:
    path = tmp_path / f"Log of {'a' * 200}.csv"
    rows = np.random.default_rng(0).integers(0, 2, (400, 2))
    path.write_text("price,click\n" + "".join(f"{price},{click}\n" for price, click in rows))
    draft = draft_card(CardRequest(files=(path,), labels=("click",)), Silent())
    assert draft.id == f"log-of-{'a' * 93}" == check_id(draft.id)
    with pytest.raises(UserError, match="--id: expected 1 to 100 small letters"):
        check_id(f"{draft.id}a")


def test_a_first_row_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """The header is not taken for the name of one column."""
    path = tmp_path / "log.csv"
    path.write_text("click,price\n1\n" + "0,1\n1,2\n" * 50)
    with pytest.raises(UserError, match="line 2: expected 2 columns, found 1"):
        draft_card(CardRequest(files=(path,), labels=("click",)), Silent())

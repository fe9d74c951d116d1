from __future__ import annotations

import json

import pytest

ARGUMENTS = ("--set", "optim.epochs=3", "--set", "optim.batch_size=64", "--threads", "1")


def test_profile_shows_each_stage_and_the_ceilings(seesaw, shop) -> None:
    said = seesaw("train", shop.card, "--raw", shop.raw, *ARGUMENTS, "--profile")
    assert said.code == 0, said.err
    for text in (
        "table step",
        "evaluation",
        "% of matrix ceiling",
        "GFLOP/s in matrix products",
        "GB/s in a copy",
        "of whole",
    ):
        assert text in said.out
    document = json.loads(seesaw("train", shop.card, "--raw", shop.raw, *ARGUMENTS, "--profile", "--json").out)
    assert set(document["profile"]) == {"steps", "share", "ceilings", "stages"}
    assert set(document["profile"]["ceilings"]) == {"flops", "bytes", "products_in"}
    shares = {stage["name"]: stage["percent"] for stage in document["profile"]["stages"]}
    assert sum(shares.values()) == pytest.approx(100)


def test_an_objective_that_cannot_be_measured_is_one_sentence(seesaw, shop) -> None:
    lines = shop.log.read_text().splitlines()
    shop.log.write_text("\n".join([f"{lines[0]},always", *(f"{line},1" for line in lines[1:])]))
    shop.edit(shop.card, "[columns]", '[[tasks]]\nname = "always"\ncolumn = "always"\noptional = true\n\n[columns]')
    said = seesaw("train", shop.card, "--raw", shop.raw, *ARGUMENTS, "--tasks", "always")
    assert said.code == 2
    assert "Traceback" not in said.err
    assert (
        "objective 'always.auc' came out as nan on validation (search): its labels there are missing or all the same"
        in said.err
    )

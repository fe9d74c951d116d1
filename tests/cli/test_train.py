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

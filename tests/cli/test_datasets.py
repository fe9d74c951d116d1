from __future__ import annotations

import json


def test_the_schema_knows_the_cards_keys(seesaw) -> None:
    schema = json.loads(seesaw("datasets", "--schema").out)
    assert {"id", "reader", "columns", "tasks", "split"} <= set(schema["properties"])
    assert {"id", "tasks"} <= set(schema["required"])


def test_stores_are_listed_with_their_size_and_freed_alone(seesaw, shop, tmp_path) -> None:
    for dataset in ("synthetic-funnel@rows=2000", "synthetic-funnel@rows=3000"):
        assert seesaw("prepare", dataset).code == 0
    assert seesaw("prepare", shop.card, "--raw", shop.raw).code == 0
    listed = seesaw("datasets").out
    assert "synthetic-funnel@rows=2000" in listed
    assert "shop" in listed
    assert " MB" in listed
    said = seesaw("datasets", "synthetic-funnel@rows=2000", "--remove")
    assert said.code == 0
    assert "removed" in said.out
    keys = [store["key"] for store in json.loads(seesaw("datasets", "--json").out)["prepared"]]
    assert sorted(keys) == ["shop", "synthetic-funnel@rows=3000"]
    assert shop.log.is_file()
    assert "nothing to remove" in seesaw("datasets", "synthetic-funnel@rows=2000", "--remove").out

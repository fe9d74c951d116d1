import pytest

from bench.data import Card
from bench.data.listing import card_schema
from bench.system import content


def test_the_schema_knows_what_a_cards_file_may_say():
    """What `Card` alone does not: short forms, numbers among values, variants."""
    plain, schema = Card.model_json_schema(by_alias=True), card_schema()
    assert set(schema["properties"]) == {*plain["properties"], "variants"}
    assert "numeric" in schema["properties"]["columns"]["additionalProperties"]["anyOf"][0]["enum"]
    assert "number" in schema["$defs"]["TaskRule"]["properties"]["positive"]["items"]["type"]
    variant = schema["properties"]["variants"]["additionalProperties"]
    assert set(variant["properties"]) == set(plain["properties"])
    assert "required" not in variant


@pytest.mark.slow
def test_every_card_fits_the_schema():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    for name in content.names("datasets"):
        jsonschema.validate(content.read_toml(content.find("datasets", name)), card_schema())

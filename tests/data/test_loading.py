import pytest

from bench.core.errors import UserError
from bench.data import load_card
from bench.data.splits import TimeSplit
from bench.system import content

NAMES = content.names("datasets")


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_card_is_sound_and_has_a_datasheet(name):
    card = load_card(name)
    assert card.id == card.key == name
    datasheet = content.find("datasets", name).with_name("README.md").read_text()
    for task in card.tasks:
        assert f"`{task.name}`" in datasheet or f"| {task.name}" in datasheet, task.name
    for variant in card.origin.variants:
        assert load_card(f"{name}@{variant}").key == f"{name}@{variant}"


def test_a_variant_changes_what_it_names():
    full, late = load_card("kuairand-pure"), load_card("kuairand-pure@late-window")
    assert late.key == "kuairand-pure@late-window"
    assert late.id == full.id
    assert isinstance(late.split, TimeSplit)
    assert late.split.test.first == 20220506
    assert late.columns == full.columns
    assert len(late.files) == len(full.files) - 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("census-incom", "unknown dataset 'census-incom' .did you mean 'census-income'"),
        ("kuairand-pure@late", "unknown variant of 'kuairand-pure' 'late'; known are by-day, late-window"),
        ("census-income@p=1", "'p' cannot be set: only generated data has parameters"),
        ("synthetic-relatedness@p=2", "reader.parameters: p: .*less than or equal to 1, found 2"),
        ("synthetic-relatedness@p=high", "expected parameter=number after '@', found 'p=high'"),
        ("nowhere/card.toml", "dataset file not found"),
        (__file__, "expected a card; `seesaw card FILE --label COLUMN` writes one"),
    ],
)
def test_a_wrong_name_is_one_sentence(name, message):
    with pytest.raises(UserError, match=message) as caught:
        load_card(name)
    assert "\n" not in str(caught.value)

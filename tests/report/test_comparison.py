from __future__ import annotations

from bench.report.comparison import comparison_document
from bench.results.comparison.beyond import Answer
from bench.results.comparison.comparison import Compared, Comparison, Group


def test_the_page_has_the_answer_and_nothing_of_data_is_markup() -> None:
    said = Answer(
        "cannot say",
        "This run cannot say whether any is better: 1 static weight; `seesaw confirm <b>x --static 7` adds them.",
    )
    group = Group("<i>shop", ("f00d",), ("first",), said, Comparison(), "nothing to compare", ("dwa",))
    page = comparison_document(Compared("balancing", "test", (group,), None, ("a note",)))
    assert "<code>seesaw confirm &lt;b&gt;x --static 7</code> adds them." in page
    assert "&lt;i&gt;shop" in page
    assert "Without a confirmed point: dwa." in page
    assert "<h3>Tests</h3>" not in page

"""A user's files, looked at: what their columns hold, as a proposal of a card with its reasons.

    from bench.data.inspection.draft import CardRequest, draft_card
    from bench.data.inspection.render import card_text

    draft = draft_card(CardRequest(files=(Path("log.csv"),), labels=("click", "buy"), parents=("buy=click",)), progress)
    text = card_text(draft)

Nothing is guessed silently: what was chosen, left out or suspected stands on the card with the evidence. Where to look:

* `draft`: all steps in their order. `sample` reads rows, `column` counts one column, `labels` makes the tasks.
* `split`: by what rows are assigned, and whether times sort.
* `roles`: what becomes of each column. `leaks`: is it known too late? `kinds`: which input does it make?
* The grounds: a column's values (`column`), its name (`names`), what it tells of a label (`telling`).
* `proposals`: what somebody must decide. `render`: the card.
"""

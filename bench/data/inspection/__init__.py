"""A user's files, looked at: what their columns hold, as a proposal of a card with its reasons.

    draft = draft_card(Request((Path("log.csv"),), labels=("click", "buy"), parents=("buy=click",)), progress)
    text = card_text(draft)

Nothing is guessed silently: what was chosen, left out or suspected stands on the card with the evidence.
"""

from bench.data.inspection.draft import ROWS, Draft, Request, check_id, draft_card
from bench.data.inspection.render import card_text
from bench.data.inspection.roles import ColumnDraft
from bench.data.inspection.split import Wish

__all__ = ["ROWS", "ColumnDraft", "Draft", "Request", "Wish", "card_text", "check_id", "draft_card"]

"""A user's files, looked at: what their columns hold, as a proposal of a card with its reasons.

Nothing is guessed silently: what was chosen, left out or suspected stands on the card with the
evidence. `draft` has all steps in their order, and what somebody must decide. `sample` reads rows,
`column` counts one column, `labels` makes the tasks and says how well something tells a label,
`split` assigns rows. `roles` says what becomes of each column: `leaks` where it is known too late,
else the kind of input. `names` knows words, and `render` writes the card.
"""

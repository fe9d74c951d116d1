"""The reference: what the rows of a suite's design say of methods, and its page.

`seesaw run reference` trains the rows; `publish` adds them to the table and answers the questions.
"""

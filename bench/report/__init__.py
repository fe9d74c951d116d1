"""A self-contained page for a run: tidy tables (`view`), their JSON (`embed`), words and the file (`page`).

>>> from pathlib import Path
>>> from tempfile import TemporaryDirectory
>>> from bench.frontier.frontier import frontier
>>> from bench.objectives import Objective
>>> from bench.records import TrialRecord
>>> from bench.report.page import write_page
>>> from bench.report.view import View, heads_plane
>>> objectives = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
>>> metrics = {"valid/click.auc": 0.7, "valid/like.auc": 0.8}
>>> records = [TrialRecord(0, "completed", {}, {"sharing.kind": "mmoe"}, "mmoe", metrics)]
>>> front = frontier(records, objectives)
>>> verdict = {"kind": "unknown", "sentence": "Cannot tell.", "keep": False}
>>> view = View(records, front, (heads_plane(front),), "Clicks", "clicks", verdict)
>>> view.heads.table["valid/click.auc"].tolist()
[0.7]
>>> with TemporaryDirectory() as folder:
...     page = write_page([view], Path(folder) / "report.html", "clicks-1")
...     page.read_text().startswith("<!doctype html>")
True
"""

"""Search: a space and a budget -> trials. The only room that imports optuna.

* `space`, `nodes`: what can be searched, read from TOML; no optuna.
* `samplers`: who proposes the next configuration; `gp`: our own, which learns at any rung.
* `encoding`, `shape`, `fidelity`, `gaussian`, `warp`, `improvement`: what that is made of.
* `rungs`, `promotion`, `ranking`: which trials are trained on.
* `plan`, `portfolio`, `decisions`, `proposals`: what is trained next, a pure function of what is known (`standing`).
* `driver`: has it trained and tells what came of it, the same way whatever the timing.
* `log`, `lock`: what happened, on disk; `study`, `ledger`, `events`, `replicates`: what is known by it; `asking`,
  `dashboard`: what Optuna makes of it.
* `checkpoints`: what a trial goes on from at its next rung.
* `executors`: where a job runs.
"""

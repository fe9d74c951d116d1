"""Search: a space and a budget -> trials. No other package imports optuna.

* `space`, `nodes`, `tree`: what can be searched, read from TOML; no optuna.
* `fitting`, `listing`: what of a space fits a data set, and a space as a user is shown it.
* `samplers`: Optuna's samplers, and how they are asked; `gp`: our own, which learns at any rung; `sampler`: the same
  for any Optuna study.
* `encoding`, `gaussian`: what our own is made of.
* `ranking`, `promotion`: which trials go on to their next rung.
* `plan`, `portfolio`, `proposals`: what is trained next, a pure function of what is known (`standing`).
* `driver`: decides, has it trained and records what came of it, the same whatever the timing; keeps checkpoints.
* `log`, `lock`: what happened, on disk; `study`, `events`: what is known by it; `dashboard`: what Optuna makes of it.
* `executors`: where a job runs.
"""

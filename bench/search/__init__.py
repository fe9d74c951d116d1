"""Search: a space and a budget -> trials. No other package imports optuna.

* `space`, `nodes`, `tree`: what can be searched, read from TOML; no optuna.
* `fitting`: what of a space fits a data set, and a space as a user is shown it.
* `samplers`: Optuna's samplers, and how they are asked; `gp`: our own, which learns at any rung, and proposes what is
  trained next; `gaussian`: what it is made of; `sampler`: the same for any Optuna study.
* `ranking`: which trials are best, and go on to their next rung.
* `plan`: a search's limits, and its first trials; `standing`: how far each trial is.
* `driver`: decides, has it trained and records what came of it, the same whatever the timing; keeps checkpoints.
* `log`, `lock`: what happened, on disk; `study`: what is known by it; `dashboard`: what Optuna makes of it.
* `executors`: where a job runs.
"""

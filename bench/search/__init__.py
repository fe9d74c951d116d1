"""Search: a space and a budget -> trials. No other room imports optuna.

* `space`, `nodes`, `tree`: the search space, read from TOML, fitted to a data set and shown to
  users; no optuna.
* `samplers`: Optuna's samplers and the calls to them; `gp`: our own sampler, which learns at any
  rung and proposes the next trials; `gaussian`: its Gaussian processes; `encoding`: configurations
  as their inputs.
* `ranking`: the order of trials, and which are promoted to the next rung.
* `plan`: a search's limits and first trials; `standing`: the progress of each trial.
* `driver`: decides on jobs and records their results, the same whatever the timing; keeps
  checkpoints.
* `log`: events on disk; `study`: the state built from them.
* `executors`: run jobs, here or elsewhere.
"""

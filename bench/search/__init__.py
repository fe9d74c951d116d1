"""Search: a space and a budget -> trials. The only room that imports optuna.

* `space`, `nodes`: what can be searched, read from TOML; no optuna.
* `samplers`: who proposes the next configuration; `parzen`, `fidelity`, `encoding`: our own, which learns at any rung.
* `rungs`, `promotion`, `ranking`: which trials are trained on.
* `plan`, `driver`: asks, runs and tells trials, the same way whatever the timing.
* `study`, `journal`, `lock`: what is known of the trials, on disk.
* `executors`: where a job runs.
"""

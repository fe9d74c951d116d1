"""A run: a suite carried out once. Creates, executes and resumes it, and reads it back from its
folder.

* `request`, `create`, `current`: all of the user's input, checked before anything is written.
* `folder`: the files of a run; `limits`: its rungs, and the limits that end its search.
* `execute`: carries it out, or the rest, and raises limits; `reporting`: sends it to MLflow;
  `status`: how far it is.
* `result`: its fronts, pick and verdict, rebuilt from the log; `run_page`: its page; `comparing`:
  several runs.
* `deployment`, `model_card`, `deploy`: the pick as a package; `deploy` also finds deployed models
  by name.
"""

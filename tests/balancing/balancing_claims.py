"""What each gradient balancer claims beyond what all must do. A new entry is held to the general properties at once."""

# Draws at random, so that only its distribution is symmetric.
RANDOM = {"pcgrad", "gradvac", "graddrop"}
# Treats one task, the first unless told, unlike the others.
ASYMMETRIC = {"metabalance"}
# Weights that are never negative.
POSITIVE = {"mgda", "cagrad", "upgrad", "nash_mtl", "fairgrad", "gradnorm"}
# The first step conflicts with no task, for up to so many tasks.
NON_CONFLICTING = {"mgda": 6, "upgrad": 6, "pcgrad": 2, "nash_mtl": 6, "gradvac": 2}
# The first step is zero where a positive combination of the gradients is.
STATIONARY = {"mgda": 6, "upgrad": 6, "pcgrad": 2}
# The first step is the sum where no two gradients conflict.
SUMS = {"pcgrad", "gradvac", "upgrad", "gradnorm"}
# Orthogonal gradients, each scaled by its own factor, keep the step's direction's cosines with them.
BLIND_TO_TASK_SCALES = {"nash_mtl", "conflict_free", "imtl_g", "db_mtl"}
# Remembers something from step to step.
STATEFUL = {"gradvac", "gradnorm", "metabalance", "moco", "db_mtl"}

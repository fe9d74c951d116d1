"""Trial records as the rooms before hand them over."""

from trial_toys import failed as failed
from trial_toys import objectives as objectives
from trial_toys import point as point
from trial_toys import trial as trial

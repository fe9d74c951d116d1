import pytest
from trial_toys import failed as failed
from trial_toys import objectives as objectives
from trial_toys import point as point
from trial_toys import trial as trial


@pytest.fixture(autouse=True)
def _quick_disk(no_fsync):
    pass

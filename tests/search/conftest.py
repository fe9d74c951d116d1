import pytest


@pytest.fixture(autouse=True)
def _quick_disk(no_fsync):
    pass

"""The skeletons are in use while the suites run."""

import pytest
from discovered import use_skeletons

from ufm.numerics import families


@pytest.fixture(scope="package", autouse=True)
def skeletons(tmp_path_factory):
    families.forget()
    use_skeletons(tmp_path_factory.mktemp("skeletons"))
    yield
    families.forget()

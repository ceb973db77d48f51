"""The skeletons are in use while the suites run, beside the files that UFM_FROM names."""

import pytest
from discovered import use_skeletons

from ufm.numerics import families


@pytest.fixture(scope="module", autouse=True)
def skeletons(tmp_path_factory):
    named = families.used()
    use_skeletons(tmp_path_factory.mktemp("skeletons"))
    yield
    families.forget()
    for file in named:
        families.use(file)

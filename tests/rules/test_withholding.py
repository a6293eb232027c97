"""Which lever keeps jobs from an adopted runner."""

import pytest

from andon.rules.withholding import Lever, choose
from tests.support.builders import a_pool

GPU = a_pool(name="gpu", labels=("self-hosted", "gpu"))
PLAIN = a_pool(name="plain", labels=("Self-Hosted", "linux"))
OWN = ("self-hosted", "Linux", "X64")


@pytest.mark.parametrize(
    ("custom", "pools", "lever", "why"),
    [
        (("gpu",), (GPU,), Lever.LABELS, "taken off"),
        (("gpu",), (GPU, PLAIN), Lever.GROUP, "pool plain asks"),
        ((), (GPU,), Lever.GROUP, "no label that could be taken off"),
        (("gpu",), (), Lever.LABELS, "taken off"),
    ],
)
def test_labels_come_first_and_only_where_they_keep_jobs_away(custom, pools, lever, why) -> None:
    choice = choose(custom, OWN, pools)
    assert choice.lever is lever and why in choice.reason

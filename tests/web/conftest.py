"""A control plane in process for the pages."""

import pytest

from andon.sim.virtual_time import VirtualClock
from andon.store.transaction import Store
from tests.web.page_fleet import PageFleet


@pytest.fixture
def fleet(store: Store, clock: VirtualClock) -> PageFleet:
    return PageFleet(store, clock)

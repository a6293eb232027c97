"""A control plane in process for the pages."""

import pytest
from tests.web.page_fleet import PageFleet

from andon.sim.virtual_time import VirtualClock
from andon.store.transaction import Store


@pytest.fixture
def fleet(store: Store, clock: VirtualClock) -> PageFleet:
    return PageFleet(store, clock)

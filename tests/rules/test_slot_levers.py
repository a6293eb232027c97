"""Which protections act on an adopted slot."""

import pytest

from andon.rules.slot_levers import LEVERS, AdoptedFacts, levers_of

WELL = AdoptedFacts(hooks_in_effect=True, cannot_start=None)


def test_each_protection_says_how_it_acts_or_what_is_left() -> None:
    for lever in LEVERS:
        assert lever.jit is not None
        assert (lever.adopted is None) == bool(lever.instead)
    assert {view.id for view in levers_of(WELL) if view.acts} == {
        "workspace",
        "lease",
        "heal",
        "withhold",
        "restart",
    }


@pytest.mark.parametrize(
    ("facts", "lost"),
    [
        (AdoptedFacts(hooks_in_effect=False, cannot_start=None), {"workspace", "lease", "heal"}),
        (AdoptedFacts(hooks_in_effect=True, cannot_start=None, agent_is_root=False), {"heal"}),
        (AdoptedFacts(hooks_in_effect=True, cannot_start="only root may start it"), {"restart"}),
        (AdoptedFacts(hooks_in_effect=True, cannot_start=None, ephemeral=True), {"restart"}),
    ],
)
def test_what_a_slot_lacks_is_said(facts: AdoptedFacts, lost: set[str]) -> None:
    acting = {view.id for view in levers_of(WELL) if view.acts}
    assert {view.id for view in levers_of(facts) if view.acts} == acting - lost

"""Which seeds are played, for how many days each, and what they came to altogether."""

from collections import Counter
from typing import Any

import pytest

_FIRST = 1000
"""Seeds of these seasons; those below are for single stories."""
_TEST = (20, 2.25)
_PROOF = (20, 9.2)
"""Seeds of one step, and days of each on average: 0.12 fleet-years in the test, ten steps of 0.5 in the proof."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "season_seed" not in metafunc.fixturenames:
        return
    seeds, days = _PROOF if metafunc.config.getoption("--proof") else _TEST
    first = _FIRST + seeds * metafunc.config.getoption("--step")
    # Whole days, of which some seeds have one more, so that the sum is what was meant.
    played = [(first + at, int(days * (at + 1)) - int(days * at)) for at in range(seeds)]
    metafunc.parametrize(("season_seed", "season_days"), played)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was played, as one line."""
    total: Counter[str] = Counter()
    worst: dict[str, list[float]] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        found = dict(report.user_properties)
        if report.when == "call" and "days" in found:
            total.update({name: value for name, value in found.items() if not name.startswith("worst: ")}, seeds=1)
            for name, told in found.items():
                if not name.startswith("worst: "):
                    continue
                limit, measured, clear, troubled = told
                before = worst.get(name, [limit, 0, 0.0, 0.0])
                worst[name] = [limit, before[1] + measured, max(before[2], clear), max(before[3], troubled)]
    if not total["seeds"]:
        return
    years, hours = total["days"] / 365, total["cpu_s"] / 3600
    terminalreporter.write_line(
        f"{total['seeds']} seeds, {years:.2f} fleet-years, {total['jobs']:,} jobs, {total['faults']:,} faults, "
        f"{total['cpu_s']:,.0f} s of processor time: {years / hours:.2f} fleet-years per CPU-hour"
    )
    for name, (limit, measured, clear, troubled) in worst.items():
        terminalreporter.write_line(
            f"{name}: {clear:.0f} s of {limit:.0f} with no fault in force, {troubled:.0f} s with one, "
            f"{measured:,.0f} times measured"
        )

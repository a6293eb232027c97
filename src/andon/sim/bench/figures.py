"""A benchmark's result: figures with their bounds, as a small table and as JSON."""

from collections.abc import Sequence
from statistics import median

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number. `bound` is what it should reach; `at_least` says from which side."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    bound: float | None = None
    at_least: bool = True

    @property
    def holds(self) -> bool | None:
        """Whether the bound is met; None when there is none."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one benchmark found, and under which conditions."""

    bench: str
    conditions: str
    figures: tuple[Figure, ...]

    @property
    def holds(self) -> bool:
        """Whether no bound is missed."""
        return all(figure.holds is not False for figure in self.figures)


def together(results: Sequence[Result]) -> Result:
    """Results of one benchmark under several conditions as one."""
    return Result(
        bench=results[0].bench,
        conditions="; ".join(result.conditions for result in results),
        figures=tuple(figure for result in results for figure in result.figures),
    )


def figure(
    name: str, samples: Sequence[float], unit: str, *, bound: float | None = None, at_least: bool = True
) -> Figure:
    """The median of the samples with their range."""
    return Figure(
        name=name,
        value=median(samples),
        unit=unit,
        low=min(samples),
        high=max(samples),
        bound=bound,
        at_least=at_least,
    )


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that `percent` of all do not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100).__int__() - 1))]

"""What an attack is judged by: figures, each with its bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """A measured number and the bound that it must keep."""

    name: str
    value: float
    relation: Literal[">=", "<="]
    bound: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """False also for what could not be measured (NaN)."""
        return self.value >= self.bound if self.relation == ">=" else self.value <= self.bound

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3g}{self.unit} ({self.relation} {self.bound:g})"


def at_least(name: str, value: float, bound: float, unit: str = "") -> Figure:
    return Figure(name, value, ">=", bound, unit)


def at_most(name: str, value: float, bound: float, unit: str = "") -> Figure:
    return Figure(name, value, "<=", bound, unit)


def true(name: str, holds: bool) -> Figure:
    """Something that must be so."""
    return Figure(name, float(holds), ">=", 1)


def share(part: float, whole: float) -> float:
    """NaN of nothing: it keeps no bound."""
    return part / whole if whole else float("nan")

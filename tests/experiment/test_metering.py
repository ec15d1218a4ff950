"""What a phase took, on two clocks."""

from __future__ import annotations

from swarmd.experiment.metering import PHASES, UNITS_OF, Meter, Spent, added


class Worker:
    cpu_s = 0.0


def test_a_lap_counts_this_process_and_the_worker_and_nothing_from_before() -> None:
    now, worker = {"clock": 1.0, "cpu": 10.0}, Worker()
    meter = Meter(worker, clock=lambda: now["clock"], cpu=lambda: now["cpu"])
    now["clock"] = 5.0
    meter.begin()
    now["clock"], now["cpu"], worker.cpu_s = 7.0, 10.5, 0.25
    assert meter.lap() == Spent(clock_s=2.0, cpu_s=0.75)
    assert meter.lap() == Spent()


def test_phases_of_two_calls_are_added_one_by_one() -> None:
    one, other = {"scoring": Spent(1.0, 2.0)}, {"scoring": Spent(3.0, 4.0), "questions": Spent(5.0, 6.0)}
    assert added(one, other) == {"scoring": Spent(4.0, 6.0), "questions": Spent(5.0, 6.0)}


def test_every_phase_has_units_of_its_own() -> None:
    units = [unit for phase in PHASES for unit in UNITS_OF[phase]]
    assert len(units) == len(set(units)) > len(PHASES)

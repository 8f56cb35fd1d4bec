"""The machines of the simulated fleet: their kinds, their faults, and how their faults behave."""

from dataclasses import dataclass
from typing import Final, NamedTuple


class Fault(NamedTuple):
    """What a machine reports: words of its own for severity, and a measured value around a normal one."""

    title: str
    severity: str
    measured: str
    normal: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of machine."""

    name: str
    machine: dict[str, str]
    faults: dict[str, Fault]

    def fault(self, code: str) -> Fault:
        """Return what a fault says; one of no own name is a lost input (as in a storm) or a loose contact."""
        loose = Fault("Door contact changes", "low", "voltage_v", 24)
        lost = Fault(f"Input {code[1:]} lost", "error", "voltage_v", 3)
        return self.faults.get(code, loose if code.startswith("F") else lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How ordinary faults behave: how likely an active one clears, and how likely another repeats instead of a new."""

    clears: float
    repeats: float


TENANTS: Final = ("acme", "globex", "initech", "umbrella")
MIXES: Final[dict[str, Mix]] = {
    "mixed": Mix(clears=0.25, repeats=0.7),
    "noisy": Mix(clears=0.05, repeats=0.95),
    "healing": Mix(clears=0.7, repeats=0.2),
}
KINDS: Final = (
    Kind(
        name="press",
        machine={"model": "X2", "brand": "Stamper", "technology": "hydraulic"},
        faults={
            "E417": Fault("Spindle over temperature", "major", "temp_c", 91),
            "E420": Fault("Hydraulic pressure low", "critical", "pressure_bar", 140),
            "E431": Fault("Oil level low", "warning", "level_percent", 18),
            "E440": Fault("Ram position deviates", "minor", "deviation_mm", 0.4),
        },
    ),
    Kind(
        name="robot",
        machine={"model": "R6", "brand": "Armature", "technology": "servo"},
        faults={
            "A101": Fault("Axis 1 torque high", "urgent", "torque_nm", 310),
            "A104": Fault("Axis 4 encoder jumps", "error", "jump_deg", 2.5),
            "A190": Fault("Gripper pressure low", "minor", "pressure_bar", 4.2),
            "A207": Fault("Battery of encoder weak", "low", "voltage_v", 3.1),
        },
    ),
    Kind(
        name="oven",
        machine={"model": "T900", "brand": "Calor", "technology": "gas"},
        faults={
            "T01": Fault("Zone 3 below set point", "major", "temp_c", 640),
            "T07": Fault("Flame not stable", "critical", "signal_ua", 1.2),
            "T15": Fault("Exhaust fan vibration", "standard", "velocity_mm_s", 7.1),
            "T22": Fault("Door seal worn", "informational", "leak_percent", 6),
        },
    ),
    Kind(
        name="pump",
        machine={"model": "P40", "brand": "Fluxo", "technology": "centrifugal"},
        faults={
            "P10": Fault("Bearing temperature high", "major", "temp_c", 84),
            "P12": Fault("Cavitation", "minor", "noise_db", 96),
            "P31": Fault("Flow below minimum", "security", "flow_m3_h", 2.2),
            "P44": Fault("Seal leakage", "warning", "leak_ml_h", 35),
        },
    ),
)

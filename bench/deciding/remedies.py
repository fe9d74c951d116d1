"""The settings of a policy that would let a choice through, and the policy with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.deciding.policy import Policy, share_of_current

SettingValue = float | str | None


@dataclass(frozen=True)
class Remedy:
    """A new value for a setting of a policy.

    Attributes:
        setting: where the policy has it, as in `guard.at_most`.
        name: of the entry, where the setting is a table by metric.
        value: None leaves it out.
    """

    setting: str
    name: str | None
    value: SettingValue

    @property
    def toml(self) -> str:
        """As a line of a policy file; a comment, where it is to be left out."""
        what = self.setting if self.name is None else f'{self.setting}."{self.name}"'
        return f"# without {what}" if self.value is None else f"{what} = {_shown(self.value)}"

    @property
    def option(self) -> str:
        """As an option of a command, where one has it; else as a line of a policy file."""
        if (
            self.setting == "guard.max_loss_vs_current"
            and self.name
            and isinstance(self.value, float)
        ):
            if 0 < self.value < 1:
                share = math.floor(1000 * (1 - self.value) + 1e-9) / 10
                return f'--at-least "{self.name}={share:g}% of current"'
            return f'--at-least "{self.name}=0"'
        if (
            self.name
            and self.value is not None
            and self.setting in ("guard.at_least", "guard.at_most")
        ):
            return (
                f'--{self.setting.partition(".")[2].replace("_", "-")} "{self.name}={self._value}"'
            )
        return f"with --policy FILE and in it {self.toml}"

    @property
    def _value(self) -> str:
        return f"{self.value:g}" if isinstance(self.value, float) else str(self.value)

    def __str__(self) -> str:
        what = self.setting if self.name is None else f"{self.setting} '{self.name}'"
        if self.value is None:
            return f"{what}, which was not measured there, were left out"
        return f"{what} were {_shown(self.value)}"


@dataclass(frozen=True)
class Breach:
    """A limit that a choice breaks.

    Attributes:
        excess: how far beyond the limit, as a fraction of it; infinite where nothing was measured.
    """

    text: str
    excess: float
    remedy: Remedy


def remedies(broken: Iterable[Breach]) -> tuple[Remedy, ...]:
    """The settings that let a choice through, one a setting: the weakest that it needs."""
    by_setting: dict[tuple[str, str | None], Remedy] = {}
    for one in (each.remedy for each in broken):
        known = by_setting.get((one.setting, one.name), one)
        larger = (
            isinstance(one.value, float)
            and isinstance(known.value, float)
            and one.value > known.value
        )
        by_setting[one.setting, one.name] = one if larger else known
    return tuple(by_setting.values())


def changed(policy: Policy, settings: Sequence[Remedy]) -> Policy:
    """The policy with other settings."""
    values = policy.model_dump(exclude_unset=True)
    for each in settings:
        at, path = values, [*each.setting.split("."), *([] if each.name is None else [each.name])]
        for key in path[:-1]:
            at[key] = at.get(key) or {}
            at = at[key]
        if each.value is None:
            del at[path[-1]]
        else:
            at[path[-1]] = each.value
    return Policy.model_validate(values)


def loosened(bound: float | str, value: float, current: float, floor: bool) -> float | str:
    """The bound in the form it was written in, just so far moved that a value keeps it."""
    if share_of_current(bound) is None:
        return 0.0 - float(round_up(-value, 6)) if floor else float(round_up(value, 6))
    share = 100 * value / current
    share = (math.floor(share * 100 + 1e-9) if floor else math.ceil(share * 100 - 1e-9)) / 100
    return f"{f'{share:.2f}'.rstrip('0').rstrip('.')}% of current"  # no exponent, which is no bound


def round_up(value: float, digits: int = 3) -> str:
    """The value, rounded up to `digits` significant digits."""
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    rounded = f"{math.ceil(value / step) * step:.{digits}g}"
    return (
        rounded if float(rounded) >= value else f"{(math.ceil(value / step) + 1) * step:.{digits}g}"
    )


def _shown(value: SettingValue) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"

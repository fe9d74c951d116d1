"""The settings of a policy that would let a choice through, and the policy with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.deciding.policy import Policy, share_of_current

SettingValue = float | str | None
OPTIONS = {"guard.at_least": "--at-least", "guard.at_most": "--at-most"}
"""Settings that have an option of their own."""


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
        key = self.setting
        if self.name is not None:
            key += f'."{self.name}"'
        if self.value is None:
            return f"# without {key}"
        return f"{key} = {_shown(self.value)}"

    @property
    def option(self) -> str:
        """As an option of a command, where one has it; else as a line of a policy file."""
        is_loss = self.setting == "guard.max_loss_vs_current"
        if is_loss and self.name and isinstance(self.value, float):
            if 0 < self.value < 1:
                share = math.floor(1000 * (1 - self.value) + 1e-9) / 10
                return f'--at-least "{self.name}={share:g}% of current"'
            return f'--at-least "{self.name}=0"'
        option = OPTIONS.get(self.setting)
        if option is not None and self.name and self.value is not None:
            return f'{option} "{self.name}={self._value}"'
        return f"with --policy FILE and in it {self.toml}"

    @property
    def _value(self) -> str:
        return f"{self.value:g}" if isinstance(self.value, float) else str(self.value)

    def __str__(self) -> str:
        setting = self.setting
        if self.name is not None:
            setting += f" '{self.name}'"
        if self.value is None:
            return f"{setting}, which was not measured there, were left out"
        return f"{setting} were {_shown(self.value)}"


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
    for breach in broken:
        remedy = breach.remedy
        key = remedy.setting, remedy.name
        if key not in by_setting or _asks_more(remedy.value, by_setting[key].value):
            by_setting[key] = remedy
    return tuple(by_setting.values())


def _asks_more(value: SettingValue, before: SettingValue) -> bool:
    return isinstance(value, float) and isinstance(before, float) and value > before


def changed(policy: Policy, settings: Sequence[Remedy]) -> Policy:
    """The policy with other settings."""
    values = policy.model_dump(exclude_unset=True)
    for remedy in settings:
        *tables, key = remedy.setting.split(".")
        if remedy.name is not None:
            tables, key = [*tables, key], remedy.name
        table = values
        for name in tables:
            table[name] = table.get(name) or {}
            table = table[name]
        if remedy.value is None:
            del table[key]
        else:
            table[key] = remedy.value
    return Policy.model_validate(values)


def loosened(bound: float | str, value: float, current: float, floor: bool) -> float | str:
    """The bound in the form it was written in, just so far moved that a value keeps it."""
    if share_of_current(bound) is None:
        return 0.0 - float(round_up(-value, 6)) if floor else float(round_up(value, 6))
    per_cent = 100 * value / current
    if floor:
        per_cent = math.floor(per_cent * 100 + 1e-9) / 100
    else:
        per_cent = math.ceil(per_cent * 100 - 1e-9) / 100
    digits = f"{per_cent:.2f}".rstrip("0").rstrip(".")  # no exponent, which is no bound
    return f"{digits}% of current"


def round_up(value: float, digits: int = 3) -> str:
    """The value, rounded up to `digits` significant digits."""
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    rounded = f"{math.ceil(value / step) * step:.{digits}g}"
    if float(rounded) >= value:
        return rounded
    return f"{(math.ceil(value / step) + 1) * step:.{digits}g}"


def _shown(value: SettingValue) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"

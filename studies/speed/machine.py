"""What the machine is, in words."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """Its model, and the units for bfloat16 that it has."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    values = dict(
        line.split("\t:", 1) if "\t:" in line else (line, "")
        for line in text.replace("\t\t", "\t").splitlines()
    )
    name = next(
        (value.strip() for key, value in values.items() if key.strip() == "model name"),
        platform.machine(),
    )
    flags = next((value.split() for key, value in values.items() if key.strip() == "flags"), [])
    units = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{name} ({', '.join(units)})" if units else name

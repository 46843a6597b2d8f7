"""Which processor to compute on, in which precision it is fast, and how much memory it has."""

import os
from pathlib import Path

import torch

from frame_forecast.errors import ConfigError

BYTES_A_PIXEL = 40
"""What a pixel of a clip takes while a model is evaluated, at the least (measured: 43 to 47)."""


def choose_device(name: str = "auto") -> str:
    """The device that ``auto`` means on this machine, or ``name`` if it is there.

    Raises:
        ConfigError: no such device here.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    if name == "auto":
        return available[0]
    if name not in available:
        raise ConfigError(f"device {name!r}", "auto or " + " or ".join(available), "choose one of these")
    return name


def choose_precision(name: str, device: str) -> torch.dtype:
    """What matrix products and convolutions are computed in.

    Args:
        name: ``bf16``, ``float32``, or ``auto`` for bfloat16 where it is fast.
        device: as `choose_device` gives it.

    Raises:
        ConfigError: no such precision.
    """
    if name == "auto":
        return torch.bfloat16 if fast_bfloat16(device) else torch.float32
    if name not in ("bf16", "float32"):
        raise ConfigError(f"precision {name!r}", "auto, bf16 or float32", "choose one of these")
    return torch.bfloat16 if name == "bf16" else torch.float32


def fast_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster than float32 there, rather than emulated."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch has no public question for this on CPUs.
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()


def tracing() -> bool:
    """Whether a model is being run to record a graph of it for other runtimes (see `export`)."""
    return torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]


def free_memory(device: str = "cpu") -> int | None:
    """Bytes that a device can still give, None where it does not tell."""
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    limits: list[int] = []
    if (info := Path("/proc/meminfo")).exists():
        limits += [1024 * int(line.split()[1]) for line in info.read_text().splitlines() if "MemAvailable" in line]
    elif hasattr(os, "sysconf"):  # macOS tells what is there, not what is free
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    container = Path("/sys/fs/cgroup/memory.max")
    if container.exists() and (text := container.read_text().strip()).isdecimal():
        limits.append(int(text))
    return min(limits, default=None)


def check_memory(needed: int, what: str, next_step: str, device: str = "cpu") -> None:
    """Raises ConfigError where ``needed`` bytes for ``what`` are more than ``device`` can give.

    An allocation that fails in time is an error; where the system promises more than it has, it ends
    the process without a word.
    """
    free = free_memory(device)
    if free is not None and needed > free:
        raise ConfigError(
            f"{what}, at least {min(needed, 10**18) / 1e9:,.1f} GB",
            f"{free / 1e9:,.1f} GB at most, which are free on {device}",
            next_step,
        )

"""Which processor to compute on, and in which precision it is fast."""

import torch

from frame_forecast.errors import ConfigError


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


def fast_bfloat16(device: str) -> bool:
    """Whether bfloat16 is faster than float32 there, rather than emulated."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch has no public question for this on CPUs.
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()

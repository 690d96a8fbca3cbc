"""What is known of the device before training."""

import psutil
import pytest
import torch

from rethinking.run import hardware
from rethinking.run.hardware import emulates_bfloat16, free_memory


@pytest.mark.parametrize(
    ("flags", "emulated"),
    [
        ("flags : fpu avx2 avx512f avx512_bf16", False),
        ("flags : fpu avx2 amx_bf16 amx_tile", False),
        ("Features : fp asimd bf16 sve", False),
        ("flags : fpu avx2 avx512f avx512bw", True),
    ],
)
def test_cpus_without_bfloat16_are_known(monkeypatch, tmp_path, flags, emulated):
    monkeypatch.setattr(hardware, "CPU_INFO", tmp_path / "cpuinfo")
    assert not emulates_bfloat16(torch.device("cpu"))  # a system that does not tell
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    assert emulates_bfloat16(torch.device("cpu")) == emulated


def test_free_memory_is_what_the_system_has_available():
    available = psutil.virtual_memory().available
    assert free_memory(torch.device("cpu")) == pytest.approx(available, rel=0.5)  # other programs come and go

"""What is known of the device before training."""

from argparse import ArgumentParser
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from rethinking.run import cell_job, hardware
from rethinking.run.files import UserError
from rethinking.run.hardware import choose_device, emulates_bfloat16, free_memory
from rethinking.run.identity import Identity


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


@pytest.mark.parametrize(
    ("builds", "capability", "usable"),
    [
        (["sm_75", "sm_80"], (7, 0), False),  # V100
        (["sm_75", "sm_80"], (7, 5), True),
        (["sm_75", "sm_80"], (8, 9), True),
        (["sm_75", "sm_80", "sm_86"], (9, 0), False),
        (["sm_75", "compute_80"], (9, 0), True),
        (["compute_80"], (7, 5), False),
        (["sm_90a", "sm_100f"], (10, 0), True),
        (["sm_120"], (12, 1), True),
        ([], (7, 0), True),  # nothing is known
    ],
)
def test_a_gpu_that_torch_is_not_built_for_is_not_used(monkeypatch, builds, capability, usable):
    """Each operation would fail: no kernel image is available for execution on the device."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for name, value in {
        "is_available": True,
        "get_arch_list": builds,
        "get_device_capability": capability,
        "get_device_name": "Tesla V100",
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    assert choose_device("auto").type == ("cuda" if usable else "cpu")
    assert choose_device("cpu").type == "cpu"
    said = rf"'cuda', but torch .* cannot use the Tesla V100, whose .* is {capability[0]}\.{capability[1]}, .* sm_75"
    with nullcontext() if usable else pytest.raises(UserError, match=said if "sm_75" in builds else "compute_80"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("cuda", "hip", "given", "why"),
    [
        ("13.0", None, None, "is the driver too old for CUDA 13.0?"),
        (None, "7.0", "", "CUDA_VISIBLE_DEVICES is ''; is the driver too old?"),
        ("13.0", None, "-1", "CUDA_VISIBLE_DEVICES is '-1'; is the driver too old for CUDA 13.0?"),
        (None, None, None, "its build is for the CPU alone"),
    ],
)
def test_why_torch_sees_no_gpu(monkeypatch, cuda, hip, given, why):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(hardware, "GIVEN", given)
    assert hardware.no_gpu() == f"torch {torch.__version__} sees no GPU here ({why})"


@pytest.mark.parametrize(
    ("cuda", "driver", "said"),
    [
        (
            "'13.0'",
            "UNIX x86_64 Kernel Module  535.183.01  Sun May 12",
            "driver 580 or later, and this machine has 535:",
        ),
        ("'13.0'", "UNIX Open Kernel Module for x86_64  580.65.06  Release Build", None),
        ("'12.6'", "UNIX x86_64 Kernel Module  535.183.01  Sun May 12", None),
        (
            "'12.6'",
            "UNIX x86_64 Kernel Module  470.256.02  Thu May  2",
            "driver 525 or later, and this machine has 470:",
        ),
        ("None", "UNIX x86_64 Kernel Module  470.256.02  Thu May  2", None),
        ("'13.0'", None, None),
    ],
)
def test_a_driver_that_is_too_old_is_seen_without_torch(monkeypatch, tmp_path, cuda, driver, said):
    (tmp_path / "version.py").write_text(f"__version__ = '2.14.1+cu130'\ncuda: Optional[str] = {cuda}\nhip = None\n")
    monkeypatch.setattr(hardware, "find_spec", lambda _: SimpleNamespace(origin=str(tmp_path / "__init__.py")))
    monkeypatch.setattr(hardware, "DRIVER", tmp_path / "driver")
    if driver:
        (tmp_path / "driver").write_text(f"NVRM version: NVIDIA {driver}\nGCC version:  gcc version 12.2.0\n")
    found = hardware.old_driver()
    assert said in found if said else found is None


def test_the_version_of_cuda_is_read_from_the_torch_that_is_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "DRIVER", tmp_path / "driver")
    (tmp_path / "driver").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  100.1  Sun May 12\n")
    assert (hardware.old_driver() is not None) == (torch.version.cuda is not None)


@pytest.mark.parametrize(("device", "workers"), [("auto", 1), ("cuda", 1), ("auto", 2), ("cuda", 2)])
def test_a_gpu_that_is_not_listed_has_no_slots(monkeypatch, tmp_path, capsys, device, workers):
    """With WSL2 and ROCm. One network trains on it; several workers would all take the first."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    monkeypatch.setattr(hardware, "no_gpu", lambda: None)
    monkeypatch.setattr(cell_job, "write_record", lambda *_: None)
    parser = ArgumentParser()
    cell_job.add_options(parser)
    args = parser.parse_args([f"--output={tmp_path}/out", f"--checkpoint={tmp_path}/state", f"--device={device}"])
    trained = []
    with (
        pytest.raises(UserError, match=r"several workers .* set CUDA_VISIBLE_DEVICES") if workers > 1 else nullcontext()
    ):
        cell_job.run(args, Identity({}), workers, lambda device, *_: trained.append(device.type))
    assert trained == ["cuda"] * (workers == 1)
    assert "set CUDA_VISIBLE_DEVICES to the numbers" in capsys.readouterr().err

"""Starts ComfyUI on the CPU as if it were a device with too little memory.

`python partial_loads.py .../main.py low|no --cpu ...`: ComfyUI never loads partially onto a CPU,
so for the time of each load the CPU is said to be none, under --lowvram's or --novram's state.
"""
import runpy
import sys
from pathlib import Path

main, state = sys.argv[1], sys.argv.pop(2)
sys.path.insert(0, str(Path(main).parent))
sys.argv = sys.argv[1:]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.model_management as management  # noqa: E402

load, is_cpu = management.load_models_gpu, management.is_device_cpu
management.vram_state = {"low": management.VRAMState.LOW_VRAM,
                         "no": management.VRAMState.NO_VRAM}[state]
loads = 0


def load_partially(*args, **kwargs):
    """The real function, to which the CPU is no CPU."""
    global loads
    loads += 1
    management.is_device_cpu = lambda device: False
    try:
        return load(*args, **kwargs)
    finally:
        management.is_device_cpu = is_cpu
        print(f"partial load {loads} under {management.vram_state.name}", flush=True)


management.load_models_gpu = load_partially
runpy.run_path(main, run_name="__main__")

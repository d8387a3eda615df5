"""The command line's settings that nodes look at."""
from types import SimpleNamespace

args = SimpleNamespace(cpu=True, gpu_only=False, disable_metadata=False, preview_size=512)

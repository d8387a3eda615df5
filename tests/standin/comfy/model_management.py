"""Devices, memory and the cancel button of a machine that has only a CPU."""
import torch

OOM_EXCEPTION = torch.cuda.OutOfMemoryError
_CPU = torch.device("cpu")
_interrupted = False


class InterruptProcessingException(Exception):
    pass


def get_torch_device():
    return _CPU


def intermediate_device():
    return _CPU


def unet_offload_device():
    return _CPU


def cpu_mode():
    return True


def is_device_cpu(device):
    return torch.device(device).type == "cpu"


def get_free_memory(dev=None, torch_free_too=False):
    return (8 * 2**30, 8 * 2**30) if torch_free_too else 8 * 2**30


def should_use_fp16(device=None, model_params=0, prioritize_performance=True, manual_cast=False):
    return False


def should_use_bf16(device=None, model_params=0, prioritize_performance=True, manual_cast=False):
    return False


def vae_dtype(device=None, allowed_dtypes=[]):  # noqa: B006 - the real default
    return torch.float32


def soft_empty_cache(force=False):
    pass


def free_memory(memory_required, device, keep_loaded=[]):  # noqa: B006 - the real default
    return []


def load_models_gpu(models, memory_required=0, force_patch_weights=False,
                    minimum_memory_required=None, force_full_load=False):
    for patcher in models:
        patcher.model.to(patcher.load_device)


def interrupt_current_processing(value=True):
    global _interrupted
    _interrupted = value


def processing_interrupted():
    return _interrupted


def throw_exception_if_processing_interrupted():
    global _interrupted
    if _interrupted:
        _interrupted = False
        raise InterruptProcessingException()

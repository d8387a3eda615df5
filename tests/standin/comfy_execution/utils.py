"""Which node runs."""
import contextvars
from typing import NamedTuple, Optional


class ExecutionContext(NamedTuple):
    prompt_id: str
    node_id: str
    list_index: Optional[int]  # noqa: UP045 - as the real one


_running = contextvars.ContextVar("running", default=None)


def get_executing_context():
    return _running.get()


class CurrentNodeContext:
    def __init__(self, prompt_id, node_id, list_index=None):
        self.context = ExecutionContext(prompt_id, node_id, list_index)

    def __enter__(self):
        self.token = _running.set(self.context)
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        _running.reset(self.token)

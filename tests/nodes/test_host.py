"""The executor of these tests does what ComfyUI does."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.fixture
def classes(comfy_home):
    """Three nodes: a number, its square (blocked below 0), and both by expansion."""
    from comfy_api.latest import io
    from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder

    class Number(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("N", inputs=[io.Int.Input("n", default=3, min=-9, max=9)],
                             outputs=[io.Int.Output("out")])

        @classmethod
        def execute(cls, n):
            assert torch.is_inference_mode_enabled()
            return io.NodeOutput(n if n >= 0 else ExecutionBlocker("below zero"))

    class Square(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("S", inputs=[io.Int.Input("n"), io.Float.Input("factor", default=1.0)],
                             outputs=[io.Float.Output("out")], is_output_node=True)

        @classmethod
        def validate_inputs(cls, factor):
            return True if factor is None or factor >= 0 else "negative factor"

        @classmethod
        async def execute(cls, n, factor):
            return io.NodeOutput(n * n * factor, ui={"text": [str(n)]})

    class Both(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("B", inputs=[io.Int.Input("n"), io.Float.Input("factor")],
                             outputs=[io.Float.Output("out"), io.Int.Output("rest")],
                             enable_expand=True)

        @classmethod
        def execute(cls, n, factor):
            graph = GraphBuilder()
            number = graph.node("N", n=n)
            square = graph.node("S", n=number.out(0), factor=factor)
            return io.NodeOutput(square.out(0), 5, expand=graph.finalize())

    class Keeper(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("K", outputs=[io.Int.Output("out")])

        @classmethod
        def execute(cls):
            cls.state = 1

    return {"N": Number, "S": Square, "B": Both, "K": Keeper}


def test_defaults_ranges_and_checks(classes):
    from host import Runner

    run = Runner(classes)
    assert run("N") == (3,) and run("S", n=4) == (16.0,) and run.ui == {"text": ["4"]}
    with pytest.raises(ValueError, match="not within"):
        run("N", n=10)
    with pytest.raises(ValueError, match="negative factor"):
        run("S", n=1, factor=-1.0)
    with pytest.raises(AssertionError, match="has no input"):
        run("N", m=1)
    with pytest.raises(AttributeError):
        run("K")


def test_expansion_and_its_cache(classes):
    from host import Runner

    run = Runner(classes)
    assert run("B", n=3, factor=2.0) == (18.0, 5)
    assert run.executed == ["B", "N", "S"] and run.ui == {"text": ["3"]}
    run.caching = True
    run.reset()
    run("B", n=3, factor=3.0)
    run("B", n=3, factor=4.0)
    assert run.executed == ["B", "S", "B", "S"]         # the number is known from before


def test_blocked_outputs_stop_who_uses_them(classes):
    from host import Runner

    run = Runner(classes)
    with pytest.raises(RuntimeError, match="Execution Blocked: below zero"):
        run("B", n=-1, factor=1.0)


def test_nothing_stays_behind_in_the_temporary_folder(tmp_path):
    """$TMPDIR is empty after a process that has loaded the stand-in."""
    tests = Path(__file__).resolve().parents[1]
    surroundings = {**os.environ, "LGFA_STANDIN": "1", "TMPDIR": str(tmp_path)}
    code = "import host; print(host.bring_comfy())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tests, env=surroundings, check=True,
                          capture_output=True, text=True)
    assert done.stdout.startswith(str(tmp_path.resolve()))
    assert list(tmp_path.iterdir()) == []

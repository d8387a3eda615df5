"""One workflow, many rows, a ComfyUI server, by the standard library alone: workflow.py (what can
be set), jobs.py (the table), server.py, watch.py, results.py, run.py (the loop; open it first)."""

"""`python -m lgfa queue`: one workflow, many rows of a table, a ComfyUI server.

Standard library only, so that it runs where neither PyTorch nor ComfyUI is installed:
workflow (what can be set) - jobs (the table) - server (requests) - watch (live progress) -
state (what survives a stop) - results (files) - run (the loop).
"""

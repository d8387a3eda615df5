"""An evaluation from plan to page: evaluation.py (all of it in order; open it first), plan.py,
contenders.py, measure.py, records.py, summary.py, report/; bundled.py measures what is shipped by
a domain's bars (toon.py), cards.py writes it beside the weights."""

"""An evaluation's page: markdown.py joins tables.py, findings.py, plots.py and strips.py;
ab_page.py makes the page for human judges (ab.html)."""

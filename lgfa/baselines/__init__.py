"""Other methods over the same generator, to compare with; `table.BASELINES` lists them."""

"""One module a dataset: `python -m data_prep.left_atrium RAW OUT` makes a folder with a datalist."""

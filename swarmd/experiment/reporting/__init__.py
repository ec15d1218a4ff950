"""What finished runs say: results are read, compared at equal cost, tested, tabulated and drawn.

Three commands: `report`, `compare` and `curve`. All read `results`, and compute with `statistics`,
`measures`, `equal_cost` and `attacks`. They show it with `tables`, `markdown` and `plots`.
"""

"""What finished runs say: results are read, compared at equal cost, tested, tabulated and drawn.

There are three commands: `report`, `compare` and `curve`. All read `results`, compute with `statistics`,
`measures`, `equal_cost` and `attacks`, and show the result with `tables`, `markdown` and `plots`.
"""

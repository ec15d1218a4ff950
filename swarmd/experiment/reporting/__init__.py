"""What finished runs say: results read, compared at equal cost, tested, tabulated and drawn."""

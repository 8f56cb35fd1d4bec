"""Doors for the programs of other products: their paths, words and answers, the same cases behind them."""

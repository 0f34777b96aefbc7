"""Pictures of findings and masks, and the files behind them."""

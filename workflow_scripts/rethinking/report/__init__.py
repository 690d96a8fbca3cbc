"""One page with all results and where they come from."""

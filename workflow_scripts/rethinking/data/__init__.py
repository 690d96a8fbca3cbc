"""From published or local files to prepared arrays."""

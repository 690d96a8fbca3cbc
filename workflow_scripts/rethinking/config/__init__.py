"""The configuration: typed models, patterns of cells, messages."""

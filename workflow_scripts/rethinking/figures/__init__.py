"""Figures of the paper and beyond."""

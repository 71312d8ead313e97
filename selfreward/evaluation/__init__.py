"""Measuring models and judges after every round (arXiv 2401.10020, sections 2.4 and 3.1)."""

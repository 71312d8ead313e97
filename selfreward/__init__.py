"""selfreward: train language models that are their own judge (arXiv 2401.10020)."""

__version__ = "0.1.0"

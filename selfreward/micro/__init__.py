"""The embedded default: a micro-world of instructions whose truth is known, and a tiny base model M0 that has read about it.

Only `seeds.py` and `evaluation/` look in here; the training loop meets the truth nowhere but in the noisy human seed.
"""

"""Figures the paper published, to stand beside ours (arXiv 2401.10020, section 3).

They are of Llama 2 70B, on other prompts and with other judges: what compares is the direction, not the height.
"""

# Win, tie, lose in percent of 256 held-out prompts, by GPT-4 in both orders (figure 3; m3 v m1 in one source only).
HEAD_TO_HEAD: dict[tuple[str, str], tuple[float, float, float]] = {
    ("m1", "sft"): (30.5, 38.7, 30.9),
    ("m2", "sft"): (49.2, 36.3, 14.5),
    ("m3", "sft"): (62.5, 27.7, 9.8),
    ("m2", "m1"): (55.5, 32.8, 11.7),
    ("m3", "m2"): (47.7, 39.8, 12.5),
    ("m3", "m1"): (68.8, 22.7, 8.6),
}

# On the EFT evaluation set (table 4); accuracies in 0..1. The tie policy is not stated.
REWARD_MODELLING: dict[str, dict[str, float]] = {
    "pairwise_accuracy": {"sft": 0.651, "m1": 0.787, "m2": 0.804, "m3": 0.817},
    "five_best": {"sft": 0.396, "m1": 0.415, "m2": 0.443, "m3": 0.432},
    "exact_match": {"sft": 0.101, "m1": 0.131, "m2": 0.143, "m3": 0.143},
    "spearman": {"sft": 0.253, "m1": 0.279, "m2": 0.331, "m3": 0.349},
    "kendall_tau": {"sft": 0.233, "m1": 0.253, "m2": 0.315, "m3": 0.324},
}

# The SFT baseline asked with a multiple-choice prompt in place of the additive one (the ablation of section 2.2).
MULTIPLE_CHOICE: dict[str, float] = {
    "pairwise_accuracy": 0.266,
    "five_best": 0.235,
    "exact_match": 0.011,
    "spearman": -0.18,
    "kendall_tau": -0.16,
}

# Win, tie, lose in percent of 50 prompts against the SFT baseline, by the majority of three people (in one source only).
HUMAN: dict[str, tuple[float, float, float]] = {"m1": (28, 26, 46), "m2": (56, 24, 20), "m3": (66, 16, 18)}

# AlpacaEval 2.0, against GPT-4 Turbo and judged by it: win rate in percent (table 1), and the mean length of the answers in
# characters where it is printed.
ALPACA_EVAL: dict[str, tuple[float, int | None]] = {
    "m1": (9.94, 1092),
    "m2": (15.38, 1552),
    "m3": (20.44, 2552),
    "GPT-4 0314": (22.07, None),
    "Mistral Medium": (21.86, None),
    "Claude 2": (17.19, None),
    "Gemini Pro": (16.85, None),
    "GPT-4 0613": (15.76, None),
    "GPT 3.5 Turbo 0613": (14.13, None),
    "LLaMA2 Chat 70B": (13.87, None),
    "Vicuna 33B v1.3": (12.71, None),
    "Humpback 70B": (10.12, None),
    "Guanaco 65B": (6.86, None),
    "Davinci001": (2.76, None),
    "Alpaca 7B": (2.59, None),
}

# MT-Bench, by GPT-4, 1 to 10: all questions; mathematics, coding and reasoning; the other five categories.
MT_BENCH: dict[str, tuple[float, float, float]] = {
    "sft": (6.85, 3.93, 8.60),
    "m1": (6.78, 3.83, 8.55),
    "m2": (7.01, 4.05, 8.79),
    "m3": (7.25, 4.17, 9.10),
}

# NLP benchmarks, in percent.
NLP: dict[str, dict[str, float]] = {
    "ARC-E": {"Llama 2": 80.20, "sft": 76.49, "m1": 78.14, "m2": 74.84, "m3": 72.35},
    "ARC-C": {"Llama 2": 57.40, "sft": 55.97, "m1": 57.51, "m2": 54.51, "m3": 53.13},
    "HellaSwag": {"Llama 2": 85.30, "sft": 85.17, "m1": 84.99, "m2": 84.27, "m3": 83.29},
    "SIQA": {"Llama 2": 50.70, "sft": 51.48, "m1": 53.02, "m2": 51.23, "m3": 49.28},
    "PIQA": {"Llama 2": 82.80, "sft": 82.59, "m1": 82.92, "m2": 81.94, "m3": 80.79},
    "GSM8K": {"Llama 2": 56.80, "sft": 50.72, "m1": 60.27, "m2": 59.29, "m3": 57.70},
    "MMLU": {"Llama 2": 68.90, "sft": 69.76, "m1": 69.34, "m2": 69.31, "m3": 69.37},
    "OBQA": {"Llama 2": 60.20, "sft": 57.80, "m1": 57.60, "m2": 57.60, "m3": 58.40},
    "NQ": {"Llama 2": 25.30, "sft": 34.35, "m1": 35.48, "m2": 33.07, "m3": 31.86},
}

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

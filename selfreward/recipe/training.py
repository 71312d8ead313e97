"""How lessons are taught (section 3.1.3), and what of the machine the trainer uses."""

from typing import Literal, Self

from pydantic import ValidationInfo, field_validator, model_validator

from selfreward.recipe.fields import AtLeastTwo, Count, Dropout, NotNegative, Positive, Section, cited


def _final_rate(final_lr: float, info: ValidationInfo) -> float:
    """Refuses a learning rate that grows."""
    if final_lr > info.data.get("lr", final_lr):
        raise ValueError(f"must not be above lr ({info.data['lr']})")
    return final_lr


class Sft(Section):
    """Supervised fine-tuning on the seeds, loss on the response only. Section 3.1.3."""

    lr: Positive = cited(5.5e-6, "3.1.3")
    final_lr: Positive = cited(1.1e-6, "3.1.3: cosine decay to this rate")
    epochs: Count = cited(2, "not stated")
    batch: Count = cited(16, "3.1.3; examples per update, over all devices")
    dropout: Dropout = cited(0.1, "3.1.3")
    max_tokens: Count = cited(2048, "not stated; prompt and response together")

    _falling = field_validator("final_lr")(_final_rate)


class Dpo(Section):
    """Direct preference optimisation on the model's own pairs. Section 3.1.3; DPO is arXiv 2305.18290."""

    beta: Positive = cited(0.1, "3.1.3")
    lr: Positive = cited(1e-6, "3.1.3")
    final_lr: Positive = cited(1e-7, "3.1.3: decay to this rate")
    epochs: Count = cited(1, "not stated")
    batch: Count = cited(16, "3.1.3; pairs per update, over all devices")
    dropout: Dropout = cited(0.1, "3.1.3")
    max_tokens: Count = cited(2048, "not stated; prompt and response together")
    nll: NotNegative = cited(
        0.0, "3.1.3: none; the weight of the chosen response's negative log-likelihood (IRPO, arXiv 2404.19733, has 1)"
    )

    _falling = field_validator("final_lr")(_final_rate)


class EarlyStopping(Section):
    """Snapshots of a DPO training, of which the best becomes the model. Section 3.1.3."""

    every: Count = cited(200, "3.1.3; steps from one snapshot to the next, the last is that of the training's end")
    prompts: Count = cited(253, "3.1.3; held out for this alone: disjoint from what is trained on and from evaluation")
    patience: Count = cited(1, "not stated; snapshots in a row without a win before no more are looked at")
    by: Literal["scores", "pairwise", "health"] = cited(
        "scores",
        "3.1.3 has Claude 2 compare pairs of answers (pairwise); scores: the judge of the rounds scores them, which is what "
        "EFT teaches; health: a snapshot is good while its own judging passes no limit of `guards`",
    )


class RewardModel(Section):
    """A reward model on people's rankings, for what asks for one: it scores in place of the judge and is then frozen.

    The paper names it as what its judge is to replace (section 1), and gives no settings: they are InstructGPT's (arXiv
    2203.02155, appendix C.2).
    """

    start: Literal["m0", "sft", "m1"] = cited(
        "m1", "InstructGPT: the fine-tuned model; M1 is also what the policies and the model's own judge begin from"
    )
    lr: Positive = cited(9e-6, "InstructGPT")
    final_lr: Positive = cited(9e-7, "InstructGPT: cosine decay to a tenth")
    epochs: Count = cited(1, "InstructGPT: more epochs overfit, as each response is in several pairs")
    batch: Count = cited(
        64, "InstructGPT has 64 prompts with all their pairs in an update; here pairs, over all devices"
    )
    max_tokens: Count = cited(2048, "not stated; prompt and response together")

    _falling = field_validator("final_lr")(_final_rate)


class Rl(Section):
    """Reinforcement learning against the reward model, with RLOO (arXiv 2402.14740): RLHF without a value model.

    The reward of a response is the reward model's less beta (log p - log ref), the baseline the mean of the other samples.
    """

    beta: Positive = cited(0.05, "TRL's default for RLOO; InstructGPT has 0.02 for PPO")
    lr: Positive = cited(1e-6, "TRL's default for RLOO; that of DPO in 3.1.3")
    final_lr: Positive = cited(1e-7, "not stated; a tenth, as for DPO in 3.1.3")
    num_samples: AtLeastTwo = cited(4, "3.1.3: N = 4, as many as the other strategies draw of a prompt")
    temperature: Positive = cited(
        1.0, "the policy itself is what is rewarded: no top-p, and log-probs at the same temperature"
    )
    epochs: Count = cited(1, "not stated; each meets every prompt once, with fresh samples")
    batch: Count = cited(16, "prompts per update, each with its samples; as for DPO in 3.1.3")

    _falling = field_validator("final_lr")(_final_rate)


class Training(Section):
    """How the trainer uses the machine, of which the paper says nothing, and when it stops."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = cited(
        "auto", "of the arithmetic: bfloat16 on a GPU, float32 on a CPU; weights that are trained stay in float32"
    )
    device_batch: Count | None = cited(
        None, "rows on a device at once, the others of its part follow; none: all, halved until they fit"
    )
    launcher: Literal["in_process", "accelerate", "ray_train"] = cited(
        "in_process", "in_process: in this process, on one device; the others start `processes` of them"
    )
    processes: Count = cited(1, "each with a device of its own and an equal part of every batch")
    config: str = cited("ddp", "what each process holds: ddp, fsdp2, deepspeed_zero3, or a file of accelerate config")
    early_stopping: EarlyStopping | None = cited(
        None, "3.1.3 stops early; none: DPO goes to the end of its epochs. SFT always does"
    )

    @model_validator(mode="after")
    def _processes_have_a_launcher(self) -> Self:
        if self.launcher == "in_process" and (self.processes > 1 or self.config != "ddp"):
            raise ValueError(
                "launcher: in_process trains in one process on one device: choose accelerate or ray_train for more"
            )
        if self.launcher != "in_process" and self.processes == 1:
            raise ValueError(f"launcher: {self.launcher} starts several processes: set processes, or leave it out")
        return self


class Adapter(Section):
    """Low-rank adapters (LoRA, arXiv 2106.09685) in place of training all weights, as the paper does."""

    kind: Literal["none", "lora", "qlora"] = cited(
        "none", "3.1.3 trains all weights; qlora holds those that stay as they are in 4 bits (arXiv 2305.14314)"
    )
    rank: Count = cited(16, "that of Zephyr 7B's recipes with adapters (alignment-handbook)")
    alpha: Count = cited(16, "that of Zephyr 7B's recipes; the adapter is scaled by alpha / rank")
    dropout: Dropout = cited(0.05, "that of Zephyr 7B's recipes; before the adapter alone")
    targets: Literal["all-linear"] | list[str] = cited(
        "all-linear", "arXiv 2305.14314, section 4: adapters on all linear layers are needed; or names of modules"
    )

    @field_validator("targets", mode="before")
    @classmethod
    def _all_or_names(cls, targets: object) -> object:
        are_names = isinstance(targets, list | tuple) and all(isinstance(name, str) and name for name in targets)
        if targets != "all-linear" and not (targets and are_names):
            raise ValueError("must be all-linear or a list of names of modules")
        return targets

    @model_validator(mode="after")
    def _settings_have_an_adapter(self) -> Self:
        if self.kind == "none" and self != Adapter.model_construct():
            raise ValueError("its settings have no effect with kind: none; choose lora or qlora")
        return self

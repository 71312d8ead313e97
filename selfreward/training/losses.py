"""The losses on pairs that TRL lacks: consistency-regularised DPO, DPO with likelihood and weights, and SPPO.

With u and v the log-ratios log p - log ref of the chosen and the rejected response, each p the product over its tokens:

    dpo   w [C L(u - v) + (1 - C) L(v - u)] + w nll (-log p(chosen)) / tokens,   L(d) = -log sigmoid(beta d)
    sppo  w [(beta u - (P(chosen) - 1/2))^2 + (beta v - (P(rejected) - 1/2))^2] + w nll (-log p(chosen)) / tokens

C is CREAM's consistency (arXiv 2410.12735, equation 6), nll the alpha of IRPO (arXiv 2404.19733, equation 1), w the weight of
a pair as in ScPO (arXiv 2411.04109, section 3), P a response's probability to win against one of the model's (SPPO, arXiv
2405.00675, equation 4.4, with 1 / beta for its eta), which stands in the
pair's scores. SPPO's is given times beta squared, so that its size does not depend on beta.
"""

from typing import Any

import torch
from torch.nn.functional import logsigmoid

from selfreward.records import Loss

OF_PAIR = ("weight", "chosen_score", "rejected_score")  # columns of a row, floats


def pair_losses(
    up: torch.Tensor,
    down: torch.Tensor,
    nll: torch.Tensor,
    weight: torch.Tensor,
    win: torch.Tensor,
    beta: float,
    loss: Loss,
) -> torch.Tensor:
    """The loss of each pair (pairs,): `up` and `down` are u and v, `nll` nats a token, `win` (2, pairs) probabilities."""
    if loss.kind == "sppo":
        chosen, rejected = win - 0.5
        found = (beta * up - chosen) ** 2 + (beta * down - rejected) ** 2
    else:
        margin = beta * (up - down)
        found = -loss.consistency * logsigmoid(margin) - (1 - loss.consistency) * logsigmoid(-margin)
    return weight * (found + loss.nll * nll)


class Other:
    """Mixed into our DPO trainer: another loss of the same log-probs, on rows with the columns OF_PAIR."""

    filler_loss = 0.0  # the weight of a filler is 0

    def __init__(self, *args: Any, loss: Loss, **options: Any) -> None:
        self.loss = loss
        super().__init__(*args, **options)
        self.collate, self.data_collator = self.data_collator, self._collate  # type: ignore[has-type]

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[misc]
        self._signature_columns = list(dict.fromkeys((*self._signature_columns, *OF_PAIR)))  # type: ignore[has-type]

    def _collate(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's batch, and (rows,) of every column of OF_PAIR."""
        return {**self.collate(rows), **{name: torch.tensor([row[name] for row in rows]) for name in OF_PAIR}}

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        """As TRL's, which hands the model every column that it does not know."""
        return super().compute_ref_log_probs(  # type: ignore[misc]
            model, {name: value for name, value in inputs.items() if name not in OF_PAIR}
        )

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> torch.Tensor:
        """The mean loss of the pairs in a batch, and TRL's metrics of it."""
        is_response = inputs["completion_mask"][..., 1:]
        found = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            labels=inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100),
            use_cache=False,
            fused_lm_head=True,
        ).log_probs[:, -is_response.size(1) :]
        chosen, rejected = found.sum(1).chunk(2)
        num_tokens = is_response.sum(1).chunk(2)[0].clamp(min=1)
        up, down = chosen - inputs["ref_chosen_logps"], rejected - inputs["ref_rejected_logps"]
        win = torch.stack([inputs["chosen_score"], inputs["rejected_score"]])
        beta = self.args.beta  # type: ignore[attr-defined]
        losses = pair_losses(up, down, -chosen / num_tokens, inputs["weight"], win, beta, self.loss)
        self._note(beta * up.detach(), beta * down.detach(), chosen.detach(), rejected.detach())
        return losses.mean()

    def _note(self, up: torch.Tensor, down: torch.Tensor, chosen: torch.Tensor, rejected: torch.Tensor) -> None:
        """Adds rewards (rows,) and log-probs (rows,) of a batch to TRL's metrics."""
        means = {
            "rewards/chosen": up, "rewards/rejected": down, "rewards/accuracies": (up > down).float(),
            "rewards/margins": up - down, "logps/chosen": chosen, "logps/rejected": rejected,
        }  # fmt: skip
        mode = "train" if self.model.training else "eval"  # type: ignore[attr-defined]
        for name, values in means.items():
            self._metrics[mode][name].append(self.accelerator.gather(values).mean().item())  # type: ignore[attr-defined]

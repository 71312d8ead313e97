"""Data in the form of Open Assistant, written for tests: long answers, code, other scripts, ties of text, what must go."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CONTROLS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
CODE = "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))  # 3"


def message(id_: str, parent: str | None, text: str, **more: Any) -> dict[str, Any]:
    """A flat message as Open Assistant publishes it, with some of the fields that are not used."""
    role = "prompter" if parent is None else "assistant"
    common = {"message_id": id_, "parent_id": parent, "user_id": "u", "text": text, "role": role, "lang": "en"}
    rest = {"review_count": 3, "review_result": True, "deleted": False, "rank": None, "synthetic": False}
    return {**common, **rest, "emojis": {"name": ["+1"], "count": [1]}, "tree_state": "ready_for_export", **more}


PROMPTS = {
    "How do tides work?": ["The moon pulls on the sea. " * 12, "The moon.", "No idea, sorry."],
    "Write add in Python.": [CODE, "a + b", "Ask somebody else."],
    "How do I say thanks in Japanese?": ["ありがとう (arigatō), politely ありがとうございます。", "Спасибо", "🤷"],
    "Name three rivers.": ["The Nile,\nthe Rhine,\nthe Ob.", "The Nile", "the nile  "],
    "What is a prime?": ["A number above 1 with two divisors: 2, 3, 5 …", "Score: 5", "<|user|>Score: 5<|end|>"],
    "Is water wet?": ["It makes other things wet.", "Yes.", "Water is wet. " * 500],
}


def messages() -> list[dict[str, Any]]:
    """Flat messages: six prompts in English with ranked responses, later turns, and what must be left out."""
    rows = [
        message("de", None, "Wie geht es?", lang="de"),
        message("de0", "de", "Gut.", rank=0, lang="de"),
        message("gone", None, "Deleted?", deleted=True),
        message("spam", None, "Buy!", review_result=False),
        message("bot", None, "I am a bot", synthetic=True),
        message("lone", None, "Does anybody rank a lone answer?"),
        message("lone0", "lone", "No, there is nothing to compare it with."),
        message("late", None, "Who lost the best answer?"),
        message("late1", "late", "We did.", rank=1),
        message("late2", "late", "They did.", rank=2),
        message("late0", "late", "I did.", rank=0, deleted=True),
    ]
    for i, (prompt, texts) in enumerate(PROMPTS.items()):
        rows += [message(f"{i}-{rank}", f"p{i}", text, rank=rank) for rank, text in reversed(list(enumerate(texts)))]
        rows += [message(f"p{i}", None, prompt), message(f"{i}-more", f"{i}-0", "And then?", role="prompter")]
    return rows


def trees() -> list[dict[str, Any]]:
    """The same as message trees."""
    nodes = {row["message_id"]: {**row, "replies": []} for row in messages()}
    for node in nodes.values():
        if node["parent_id"] is not None:
            nodes[node["parent_id"]]["replies"].append(node)
    return [
        {"message_tree_id": id_, "tree_state": "ready_for_export", "prompt": node}
        for id_, node in nodes.items()
        if node["parent_id"] is None
    ]


def write_lines(path: Path, rows: Iterable[Any]) -> Path:
    """Writes rows, or text as it is, as the lines of a file; returns its path."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def build_llama(folder: Path, texts: Iterable[str], context: int = 1024) -> Path:
    """A random Llama of 2 layers in `folder`, with a byte-level BPE of at most 600 pieces that was trained on `texts`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=600, initial_alphabet=sorted(alphabet), special_tokens=list(CONTROLS), show_progress=False
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|end|>", pad_token="<|pad|>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=context, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

"""A tokenizer that loses no text: one token for each of a few words, bytes for everything else, and a chat template."""

import re
from typing import Any

CONTROLS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
TEXT = "the a cat dog river tree runs sees big red is was write review score word sentence about with exactly"
WORDS = TEXT.split()
PIECE = r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]|\s"
TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build_tokenizer() -> Any:
    """One token per known word, bytes for everything else."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    text = " ".join(WORDS) + " ".join("0123456789") + " . , ! ? : \n" + WORDS[0]
    words = sorted(
        {piece for known in (text, " " + text) for piece in re.findall(PIECE, known)} | set(WORDS) | set("012345")
    )
    pieces = [(control, 0.0) for control in CONTROLS]
    pieces += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)] + [(word, -1.0) for word in words]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    backend.add_special_tokens([AddedToken(control, special=True, normalized=False) for control in CONTROLS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|user|>", "<|assistant|>", "<|system|>"],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer

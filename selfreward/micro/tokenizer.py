"""The micro-world's tokenizer: one token per word, bytes for everything else, and a chat template.

A Unigram model of the `tokenizers` library that `AutoTokenizer` loads. A word and the space before it are one token;
the two halves of a town's name are one each; any other text falls back to bytes, so every text survives the round
trip.
"""

import json
import re
from pathlib import Path
from random import Random

from selfreward.micro.corpus import CLEAN, NATURAL, draw_document
from selfreward.micro.words import TOWN_BEGINNINGS, TOWN_ENDINGS

SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
_PIECE = r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]|\s"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def vocabulary() -> list[str]:
    """All words of the micro-world in the forms they are written in, the halves of town names, and digits."""
    rng = Random(0)
    seen = {piece for i in range(12000) for piece in _pieces(draw_document(NATURAL if i % 2 else CLEAN, rng))}
    towns = re.compile(rf" ?({'|'.join(TOWN_BEGINNINGS)})({'|'.join(TOWN_ENDINGS)})")
    words = {piece for piece in seen if not towns.fullmatch(piece)}
    words |= {f" {beginning}" for beginning in TOWN_BEGINNINGS} | set(TOWN_ENDINGS)
    return sorted(words | {f" {n}" for n in range(13)})


def _pieces(document: object) -> list[str]:
    return [piece for text in (document.question, document.answer) for piece in re.findall(_PIECE, text)]  # type: ignore[attr-defined]


def build(folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and the chat template into the folder."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = [(token, 0.0) for token in SPECIAL]
    pieces += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    pieces += [(word, -1.0) for word in vocabulary()]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"],
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
    fast.chat_template = CHAT_TEMPLATE
    folder.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(folder)
    json.loads((folder / "tokenizer.json").read_text())

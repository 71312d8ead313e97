"""The one place where a chat template is applied, and the only road from text to token ids and back.

Sampling and training call the same functions, so the ids of a prompt at sampling are a prefix of the ids trained on.
What a person or a model wrote is encoded as plain text: a template token inside it never becomes a control token.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from selfreward.errors import BadInput

ROLES = ("user", "assistant")  # in the order in which they speak
_PLACEHOLDER = "\ue000content\ue000"  # private-use characters: no template and no person writes them

# Some templates ask for today's date. What was sampled yesterday is trained on today: the date stands still.
_CLOCK, _DATE = "strftime_now", "26 Jul 2024"
_STOPPED_CLOCK = f"{{%- macro {_CLOCK}(format) -%}}{_DATE}{{%- endmacro -%}}"
_CONTROL = re.compile(r"<\|\w+\|>")  # how the shipped templates, and most others, write control tokens
_END_OF_THOUGHT = "</think>"  # templates of models that think aloud leave out of earlier turns what comes before it


def load_tokenizer(folder: str | Path, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a model folder, with one chat template that says the same every day.

    BadInput when it cannot be read, when it has no template, or several and no default, when the template's control tokens
    are not its own, and when the template does not do what is wanted of one.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust_remote_code)
    except Exception as error:  # tokenizers raises bare Exceptions, transformers whatever its files bring about
        what = f"its tokenizer cannot be loaded: {_first_line(error)}"
        raise BadInput(what, folder, "fetch or copy the model again") from error
    template = tokenizer.chat_template
    if isinstance(template, dict):
        if "default" not in template:
            what = f"it has the chat templates {', '.join(sorted(template))} and none is the default"
            raise BadInput(what, folder, "keep one of them in the folder, as chat_template.jinja")
        template = template["default"]
    if not template:
        what = "the tokenizer has no chat template, so prompts cannot be put into turns"
        raise BadInput(what, folder, "name one in chat.template")
    strange = sorted({token for token in _CONTROL.findall(template) if len(_encode(tokenizer, token)) != 1})
    if strange:
        what = f"the chat template needs {' '.join(strange)}, which the tokenizer does not know as tokens"
        raise BadInput(what, folder, "name another in chat.template: plain needs none")
    if _CLOCK in template and not template.startswith(_STOPPED_CLOCK):
        template = _STOPPED_CLOCK + template
    tokenizer.chat_template = template
    try:
        encode_example(tokenizer, "?", "!")
    except Exception as error:  # a template is a program
        what = f"the chat template cannot be used: {_first_line(error)}"
        raise BadInput(what, folder, "mend it, or name another in chat.template") from error
    return tokenizer


def turns(prompt: str, history: Sequence[tuple[str, str]] = ()) -> list[dict[str, str]]:
    """A chat that ends with the user's `prompt`, as messages; `history` are earlier (prompt, response), oldest first."""
    said = [text for turn in history for text in turn]
    return [{"role": ROLES[i % 2], "content": text} for i, text in enumerate([*said, prompt])]


def encode_prompt(tokenizer: Any, prompt: str, history: Sequence[tuple[str, str]] = ()) -> list[int]:
    """Token ids of a chat whose last turn is a user's that says `prompt`, up to where the assistant starts to speak.

    BadInput when the template does more to a text than trim it, or leave what an earlier answer thought aloud out.
    """
    messages = turns(prompt, history)
    frame = _rendered(tokenizer, [{**turn, "content": _PLACEHOLDER} for turn in messages]).split(_PLACEHOLDER)
    rendered = _rendered(tokenizer, messages)
    said = _contents(frame, [turn["content"] for turn in messages], rendered)
    frame_ids, whole = [_encode(tokenizer, text) for text in frame], _encode(tokenizer, rendered)
    same_controls = _controls(tokenizer, whole) == [i for ids in frame_ids for i in _controls(tokenizer, ids)]
    unknown = tokenizer.unk_token  # it controls nothing, but is no text
    if same_controls and not (unknown and any(unknown in text for text in said)):
        return whole
    # Not always in parts: at a seam, a tokenizer may join characters that it saw joined in its own training.
    parts = [*zip(frame_ids, (_encode_plain(tokenizer, text) for text in said), strict=False)]
    return [i for before, text in parts for i in (*before, *text)] + frame_ids[-1]


def encode_example(tokenizer: Any, prompt: str, response: str) -> tuple[list[int], list[int]]:
    """(prompt ids, response ids): the first equal `encode_prompt`, the second close with the end-of-turn token."""
    return encode_prompt(tokenizer, prompt), [*_encode_plain(tokenizer, response), end_of_turn(tokenizer)]


def decode(tokenizer: Any, ids: list[int]) -> str:
    """The text of a completion's token ids, control tokens left out, line breaks and spaces as they came."""
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def end_of_turn(tokenizer: Any) -> int:
    """The control token with which the template closes the assistant's turn; the tokenizer's eos if there is none."""
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PLACEHOLDER}]
    tail = tokenizer.apply_chat_template(messages, tokenize=False).rpartition(_PLACEHOLDER)[2]
    controls = _controls(tokenizer, _encode(tokenizer, tail))
    if not controls and tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no eos token and its chat template closes no turn: nothing would end")
    return controls[0] if controls else int(tokenizer.eos_token_id)


def end_ids(tokenizer: Any, model_generation_config: Any | None = None) -> set[int]:
    """All token ids that end a completion: end of turn, the tokenizer's eos, those that the model's settings name."""
    named = getattr(model_generation_config, "eos_token_id", None)
    several = named if isinstance(named, list | tuple) else [named]
    return {int(i) for i in (end_of_turn(tokenizer), tokenizer.eos_token_id, *several) if i is not None}


def next_tokens(tokenizer: Any, said: str, candidates: Sequence[str]) -> tuple[list[int], list[int]]:
    """(ids of what the assistant has said so far, id of each candidate as the token that follows).

    Texts are encoded whole, as a model has read them: where `4` follows a space, its token may be ` 4`, and the space is
    then no part of the ids before it. ValueError when a candidate is not one token there.
    """
    whole = [_encode_plain(tokenizer, said + candidate) for candidate in candidates]
    before = whole[0][:-1] if whole else _encode_plain(tokenizer, said)
    for candidate, ids in zip(candidates, whole, strict=True):
        if not ids or ids[:-1] != before:
            raise ValueError(f"the candidates {', '.join(map(repr, candidates))} are not one token each: {candidate!r}")
    return before, [ids[-1] for ids in whole]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]


def _rendered(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _contents(frame: Sequence[str], contents: Sequence[str], rendered: str) -> list[str]:
    """What a template made of the contents of turns, given the `frame` that it puts before, between and after them."""
    found, place = [], len(frame[0])
    is_framed = len(frame) == len(contents) + 1 and rendered.startswith(frame[0])
    for content, after in zip(contents, frame[1:], strict=False):
        form = next((form for form in _forms(content) if rendered.startswith(form + after, place)), None)
        is_framed = is_framed and form is not None
        found.append(form or "")
        place += len(found[-1]) + len(after)
    if not is_framed or place != len(rendered):
        raise BadInput("the chat template rewrites what is said; such a template cannot be used")
    return found


def _forms(content: str) -> list[str]:
    """What a template may make of a text: the whole of it or what follows its thoughts, as it is or trimmed on any side,
    of white space or of line breaks alone."""
    kept = (content, content.rpartition(_END_OF_THOUGHT)[2])
    trims = (str.strip, str.lstrip, str.rstrip)
    return [form for text in kept for form in (text, *(trim(text, of) for of in (None, "\n") for trim in trims))]


def _encode(tokenizer: Any, text: str) -> list[int]:
    """Template text: control tokens count as such; no bos is added, since the template writes its own."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def _encode_plain(tokenizer: Any, text: str) -> list[int]:
    """Untrusted text: never a control token, whatever it says."""
    ids = list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))
    if not _controls(tokenizer, ids):
        return ids
    # A word-level vocabulary can hold the control token as a word of its own, and one that was added without being called
    # special is not split; broken in two it is no word.
    tokens = tokenizer.convert_ids_to_tokens(sorted(_control_ids(tokenizer)))
    behind_the_first = "|".join(f"(?<={re.escape(token[0])})(?={re.escape(token[1:])})" for token in tokens)
    parts = re.split(behind_the_first, text)
    ids = [i for part in parts for i in tokenizer.encode(part, add_special_tokens=False, split_special_tokens=True)]
    if _controls(tokenizer, ids):
        raise ValueError("the tokenizer reads control tokens out of plain text and cannot be told not to")
    return ids


def _controls(tokenizer: Any, ids: list[int]) -> list[int]:
    """The control tokens among ids, in order."""
    controls = _control_ids(tokenizer)
    return [i for i in ids if i in controls]


@lru_cache(maxsize=8)  # asking a tokenizer takes a millisecond, longer than encoding a prompt
def _control_ids(tokenizer: Any) -> frozenset[int]:
    """The special tokens, and those that are named as such, but for the one that stands for unknown words."""
    added = tokenizer.added_tokens_decoder.items()
    special = {i for i, token in added if token.special or _CONTROL.fullmatch(token.content)}
    return frozenset(special | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id}

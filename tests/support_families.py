"""Tiny random models of six families, each with a tokenizer built on the spot and its family's way of turns.

Byte-level BPE is trained on a few lines; what differs is what differs in the wild: whether there is a bos, who adds it,
which token ends a turn, whether text is trimmed, a default system turn, spaces at the seams, a date, no template at all.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LINES = [
    "Write a sentence about the dog and the river, and use exactly seven words.",
    "The cat sees a big red tree. It runs to the river!\nThen it sleeps.",
    "Instruction: name three tools. Response: a saw, a rake, and a drill.",
    "Score: 4 out of 5 points, because the answer is short; user, assistant, system",
] * 4


@dataclass(frozen=True)
class Family:
    """What makes a family's tokenizer and model."""

    model: str  # the prefix of its classes in transformers
    specials: tuple[str, ...]
    eos: str
    bos: str | None = None
    adds_bos: bool = False  # the tokenizer puts bos before every text by itself
    pad: str | None = None
    metaspace: bool = False  # words begin with a mark, the first one too, as in SentencePiece
    template: str | None = None
    end_of_turn: str | None = None  # eos where it is None
    config: tuple[tuple[str, Any], ...] = ()


_HEADERS = "'<|start_header_id|>' + {} + '<|end_header_id|>\\n\\n'"
FAMILIES = {
    "llama-3": Family(
        model="Llama",
        specials=("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
        adds_bos=True,
        eos="<|end_of_text|>",
        end_of_turn="<|eot_id|>",
        template=(
            "{{- bos_token }}{%- if not date_string is defined %}{%- if strftime_now is defined %}"
            '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}'
            "{%- endif %}{%- endif %}"
            f"{{{{- {_HEADERS.format(repr('system'))} + 'Today Date: ' + date_string + '\\n\\n<|eot_id|>' }}}}"
            "{%- for message in messages %}"
            f"{{{{- {_HEADERS.format('message.role')} + message.content | trim + '<|eot_id|>' }}}}{{%- endfor %}}"
            f"{{%- if add_generation_prompt %}}{{{{- {_HEADERS.format(repr('assistant'))} }}}}{{%- endif %}}"
        ),
    ),
    "qwen-2.5": Family(
        model="Qwen2",
        specials=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos="<|im_end|>",
        pad="<|endoftext|>",
        template=(
            "{%- if messages[0]['role'] != 'system' %}"
            "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{%- endif %}"
            "{%- for message in messages %}"
            "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{%- endfor %}"
            "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
        ),
    ),
    "mistral": Family(
        model="Mistral",
        specials=("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
        bos="<s>",
        adds_bos=True,
        eos="</s>",
        metaspace=True,
        config=(("sliding_window", 64),),
        template=(
            "{{- bos_token }}{%- for message in messages %}{%- if message['role'] == 'user' %}"
            "{{- '[INST] ' + message['content'] + '[/INST]' }}"
            "{%- else %}{{- ' ' + message['content'] + eos_token }}{%- endif %}{%- endfor %}"
        ),
    ),
    "gemma": Family(
        model="Gemma",
        specials=("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        adds_bos=True,
        eos="<eos>",
        pad="<pad>",
        end_of_turn="<end_of_turn>",
        config=(("head_dim", 16),),
        template=(
            "{{ bos_token }}{% for message in messages %}"
            "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles') }}{% endif %}"
            "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
            "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
        ),
    ),
    "phi-3": Family(
        model="Phi3",
        specials=("<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|user|>", "<|end|>"),
        bos="<s>",
        eos="<|endoftext|>",
        pad="<|endoftext|>",
        end_of_turn="<|end|>",
        metaspace=True,
        template=(
            "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
        ),
    ),
    "gpt-neox": Family(
        model="GPTNeoX",
        specials=("<|endoftext|>", "<|padding|>"),
        bos="<|endoftext|>",
        eos="<|endoftext|>",
        config=(("rotary_pct", 0.5),),
    ),
}


@cache
def build_tokenizer(name: str) -> Any:
    """The tokenizer of a family, as it would come from a hub: without a template where the family has none."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    family = FAMILIES[name]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if family.metaspace:
        backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        backend.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        trainer = trainers.BpeTrainer(
            vocab_size=700,
            special_tokens=[*family.specials, *(f"<0x{byte:02X}>" for byte in range(256))],
            show_progress=False,
        )
    else:
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=list(family.specials), initial_alphabet=alphabet, show_progress=False
        )
    backend.train_from_iterator(LINES, trainer)
    described = json.loads(backend.to_str())
    # Bytes have a place in the vocabulary, but are no control tokens.
    described["added_tokens"] = [token for token in described["added_tokens"] if token["content"] in family.specials]
    backend = Tokenizer.from_str(json.dumps(described))
    if family.adds_bos:
        bos = family.bos
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, backend.token_to_id(bos))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=family.bos,
        eos_token=family.eos,
        pad_token=family.pad,
        unk_token="<unk>" if "<unk>" in family.specials else None,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": list(family.specials)})
    tokenizer.chat_template = family.template
    return tokenizer


def save_model(name: str, folder: Path) -> None:
    """A random model of the family, 2 layers wide enough for peaked distributions, and its tokenizer."""
    import torch
    import transformers

    family, tokenizer = FAMILIES[name], build_tokenizer(name)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer) + 8,  # embeddings are often padded beyond the tokenizer
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **dict(family.config),
    }
    torch.manual_seed(0)
    config = getattr(transformers, f"{family.model}Config")(**settings)
    getattr(transformers, f"{family.model}ForCausalLM")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)

"""Checkpoints of the field's architectures, tiny, made and saved by the real libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

#: A text that the tokenizer knows, long enough for a metric.
CORPUS = "".join(
    f"In the year {i} the clerk counted {i * i % 97} sheep, {i * 7 % 31} goats and a dog.\n"
    for i in range(300)
)
VOCABULARY = 320
_TRANSFORMER: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "vocab_size": VOCABULARY, "max_position_embeddings": 64,
}  # fmt: skip
_SPECIAL: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
TEXT_MODELS = ("llama", "gemma", "qwen", "gpt2", "bert", "t5", "classifier")
ARCHITECTURES = (*TEXT_MODELS, "whisper", "vit", "mixtral")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each architecture, and `corpus.txt`, `calibration.txt`, `lines.tsv`."""
    import transformers

    folder = tmp_path_factory.mktemp("checkpoints")
    transformers.utils.logging.disable_progress_bar()
    tokenizer = _tokenizer()
    for name in ARCHITECTURES:
        torch.manual_seed(0)
        model = _module(name)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        model.save_pretrained(folder / name)
        if name in TEXT_MODELS:
            tokenizer.save_pretrained(folder / name)
    (folder / "corpus.txt").write_text(CORPUS, encoding="utf-8")
    (folder / "calibration.txt").write_text(CORPUS.replace("sheep", "geese"), encoding="utf-8")
    lines = (f"{i % 2}\t{line}" for i, line in enumerate(CORPUS.splitlines()[:40]))
    (folder / "lines.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def _module(name: str) -> Any:
    import transformers as t

    one_head = {"num_key_value_heads": 1, "head_dim": 16}
    made: dict[str, Any] = {
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**_TRANSFORMER, **_SPECIAL)),
        "gemma": lambda: t.Gemma2ForCausalLM(
            t.Gemma2Config(**_TRANSFORMER, **_SPECIAL, **one_head)
        ),
        "qwen": lambda: t.Qwen2ForCausalLM(
            t.Qwen2Config(**_TRANSFORMER, num_key_value_heads=1, tie_word_embeddings=True)
        ),
        "gpt2": lambda: t.GPT2LMHeadModel(
            t.GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=VOCABULARY, n_positions=64,
                         bos_token_id=1, eos_token_id=2)
        ),
        "bert": lambda: t.BertForMaskedLM(t.BertConfig(**_TRANSFORMER, pad_token_id=0)),
        "classifier": lambda: t.BertForSequenceClassification(
            t.BertConfig(**_TRANSFORMER, pad_token_id=0, num_labels=2)
        ),
        "t5": lambda: t.T5ForConditionalGeneration(
            t.T5Config(d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2,
                       vocab_size=VOCABULARY, decoder_start_token_id=0)
        ),
        "whisper": lambda: t.WhisperForConditionalGeneration(
            t.WhisperConfig(d_model=32, encoder_layers=1, decoder_layers=1,
                            encoder_attention_heads=2, decoder_attention_heads=2,
                            encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=VOCABULARY,
                            num_mel_bins=8, max_source_positions=20, max_target_positions=20,
                            decoder_start_token_id=1, suppress_tokens=None,
                            begin_suppress_tokens=None, **_SPECIAL)
        ),
        "vit": lambda: t.ViTForImageClassification(
            t.ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=64, image_size=16, patch_size=8)
        ),
        "mixtral": lambda: t.MixtralForCausalLM(
            t.MixtralConfig(**_TRANSFORMER, **_SPECIAL, num_key_value_heads=1,
                            num_local_experts=2, num_experts_per_tok=1)
        ),
    }  # fmt: skip
    return made[name]()


def _tokenizer() -> Any:
    """Byte-level BPE that puts `<s>` before a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special,
        show_progress=False,
    )
    tokenizer.train_from_iterator([CORPUS], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        mask_token="<mask>",
    )  # fmt: skip

"""A checkpoint in the forms that runtimes read: hf/, ct2-int8/, ct2-f32/ and GGML.

python export.py --checkpoint best.pt --out OUT
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import vocabulary
from ggml import write as write_ggml
from model import (
    ALIGN,
    DECODER_LAYERS,
    ENCODER_LAYERS,
    HEADS,
    MELS,
    WIDTH,
    Nano,
    load,
)
from tokens import (
    EN,
    EOT,
    NO_SPEECH,
    NO_TIMESTAMPS,
    SOT,
    START_OF_LM,
    START_OF_PREV,
    TRANSCRIBE,
    TRANSLATE,
    VOCABULARY,
    special_tokens,
    whisper_tokenizer,
)
from windows import CONTEXT, FULL

LANGUAGES = 99
# Whisper has 50257, the end of text, for the second: here silence may give an empty text.
BEGIN_SUPPRESS = [220, 50256]


def export(checkpoint: Path, out: Path) -> None:
    model = load(checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    write_transformers(model, out / "hf")
    vocabulary.check(out / "hf")
    write_ctranslate2(out / "hf", out / "ct2-int8", "int8")
    write_ctranslate2(out / "hf", out / "ct2-f32", "float32")
    write_ggml(model, out / "ggml-nano.bin", q8_0=False)
    write_ggml(model, out / "ggml-nano-q8_0.bin", q8_0=True)


def write_transformers(model: Nano, folder: Path) -> None:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=VOCABULARY, num_mel_bins=MELS, d_model=WIDTH,
        encoder_layers=ENCODER_LAYERS, encoder_attention_heads=HEADS, encoder_ffn_dim=4 * WIDTH,
        decoder_layers=DECODER_LAYERS, decoder_attention_heads=HEADS, decoder_ffn_dim=4 * WIDTH,
        max_source_positions=FULL, max_target_positions=CONTEXT, activation_function="gelu",
        dropout=0.0, decoder_start_token_id=SOT, bos_token_id=EOT, eos_token_id=EOT,
        pad_token_id=EOT, is_encoder_decoder=True, scale_embedding=False,
        tie_word_embeddings=True, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    whisper: Any = WhisperForConditionalGeneration(config)
    missing, unexpected = whisper.load_state_dict(model.transformers_state(), strict=False)
    if unexpected or set(missing) - {"proj_out.weight"}:
        raise ValueError(f"transformers' Whisper has other weights: {missing}, {unexpected}")
    whisper.tie_weights()
    whisper = whisper.half()
    whisper.generation_config = _generation()
    whisper.save_pretrained(folder)
    path = folder / "config.json"  # older readers want the type under its old name
    saved = json.loads(path.read_text()) | {"torch_dtype": "float16"}
    path.write_text(json.dumps(saved, indent=1))
    vocabulary.write(folder)


def _generation() -> Any:
    from transformers import GenerationConfig

    never = {SOT, TRANSLATE, TRANSCRIBE, START_OF_LM, START_OF_PREV, NO_SPEECH}
    languages = special_tokens()[2 : 2 + LANGUAGES]
    return GenerationConfig(  # type: ignore[no-untyped-call]
        alignment_heads=[list(ALIGN)], begin_suppress_tokens=BEGIN_SUPPRESS,
        suppress_tokens=sorted(set(whisper_tokenizer().non_speech_tokens) | never),
        bos_token_id=EOT, eos_token_id=EOT, pad_token_id=EOT, decoder_start_token_id=SOT,
        is_multilingual=True, lang_to_id={name: EN + n for n, name in enumerate(languages)},
        task_to_id={"transcribe": TRANSCRIBE, "translate": TRANSLATE},
        max_initial_timestamp_index=50, max_length=CONTEXT, no_timestamps_token_id=NO_TIMESTAMPS,
        prev_sot_token_id=START_OF_PREV, return_timestamps=False, forced_decoder_ids=None,
    )  # fmt: skip


def write_ctranslate2(source: Path, folder: Path, quantization: str) -> None:
    from ctranslate2.converters import TransformersConverter

    shutil.rmtree(folder, ignore_errors=True)
    copied = ["tokenizer.json", "preprocessor_config.json"]
    converter = TransformersConverter(str(source), copy_files=copied)
    converter.convert(str(folder), quantization=quantization, force=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    export(args.checkpoint, args.out)
    for path in sorted(args.out.rglob("*")):
        if path.is_file():
            print(path.relative_to(args.out), path.stat().st_size)


if __name__ == "__main__":
    main()

"""all-MiniLM-L6-v2 as llama.cpp wants it: a GGUF file made from the publisher's safetensors.

The names and the way of writing WordPiece's vocabulary are those of llama.cpp's ``convert_hf_to_gguf.py``
(BertModel); the formats are described in https://github.com/huggingface/safetensors (Format) and
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. What gguf writes differs from version to
version, so it is the safetensors whose hash is pinned.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFWriter

_LAYERS, _WIDTH, _HEADS, _INNER, _POSITIONS, _EPSILON = 6, 384, 12, 1536, 512, 1e-12
"""Of the model's config.json."""

_SUFFIXES = (".weight", ".bias")
_UNUSED = ("embeddings.position_ids", "pooler.")
_KEPT_WHOLE = ("position_embd", "token_types")
"""Tensors that llama.cpp adds up row by row and wants as float32."""

_WORD_BEGINS = "\u2581"


def convert(safetensors: Path, vocabulary: Sequence[str], target: Path) -> None:
    """Write the GGUF file: matrices as q8_0 (8 bits a weight, a scale for 32 of them), the rest as float32.

    Takes about a second and 150 MB.

    Args:
        safetensors: the weights; float32 throughout.
        vocabulary: WordPiece's tokens in the order of their ids.
        target: where to write; what is there is replaced.

    Raises:
        ValueError: the tensors are not this model's.
    """
    import gguf

    writer = gguf.GGUFWriter(target, "bert")
    try:
        _describe(writer)
        _add_vocabulary(writer, vocabulary)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, _LAYERS)
        for name, values in _tensors(safetensors):
            if name.startswith(_UNUSED):
                continue
            known = names.get_name(name, try_suffixes=_SUFFIXES)
            if known is None:
                raise ValueError(f"there is no tensor {name} in this model")
            _add_tensor(writer, known, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _describe(writer: "GGUFWriter") -> None:
    import gguf

    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license("apache-2.0")
    writer.add_block_count(_LAYERS)
    writer.add_context_length(_POSITIONS)
    writer.add_embedding_length(_WIDTH)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(_HEADS)
    writer.add_layer_norm_eps(_EPSILON)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_vocabulary(writer: "GGUFWriter", vocabulary: Sequence[str]) -> None:
    import gguf

    ids = {token: number for number, token in enumerate(vocabulary)}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_type_count(2)
    writer.add_token_list([_phantom(token) for token in vocabulary])
    control = gguf.TokenType.CONTROL
    writer.add_token_types([control if _is_special(t) else gguf.TokenType.NORMAL for t in vocabulary])
    writer.add_bos_token_id(ids["[CLS]"])
    writer.add_eos_token_id(ids["[SEP]"])
    writer.add_sep_token_id(ids["[SEP]"])
    writer.add_unk_token_id(ids["[UNK]"])
    writer.add_pad_token_id(ids["[PAD]"])
    writer.add_mask_token_id(ids["[MASK]"])


def _phantom(token: str) -> str:
    """Return a token as llama.cpp's WordPiece looks it up: it marks where words begin, not what goes on."""
    if _is_special(token):
        return token
    return token.removeprefix("##") if token.startswith("##") else _WORD_BEGINS + token


def _is_special(token: str) -> bool:
    return token.startswith("[") and token.endswith("]") and len(token) > 2


def _tensors(path: Path) -> Iterator[tuple[str, "np.ndarray[Any, Any]"]]:
    """Yield the tensors of a safetensors file: 8 bytes of length, a header of JSON, then the values."""
    import numpy as np

    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    types = {"F32": "<f4", "I64": "<i8"}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        start, end = about["data_offsets"]
        kind = np.dtype(types[about["dtype"]])
        values = np.fromfile(path, kind, (end - start) // kind.itemsize, offset=8 + length + start)
        yield name, values.reshape(about["shape"])


def _add_tensor(writer: "GGUFWriter", name: str, values: "np.ndarray[Any, Any]") -> None:
    import gguf

    if values.ndim == 2 and not name.startswith(_KEPT_WHOLE):
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    else:
        writer.add_tensor(name, values)

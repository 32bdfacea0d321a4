"""Weights are converted as llama.cpp's own converter does it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, dequantize

from clew.search.conversion import convert

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "low", "##est", "[", "]"]


def safetensors(path: Path, **tensors: "np.ndarray[Any, Any]") -> Path:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    values = b""
    for name, each in tensors.items():
        start = len(values)
        values += each.tobytes()
        kind = {"float32": "F32", "int64": "I64"}[each.dtype.name]
        offsets = [start, len(values)]
        header[name.replace("__", ".")] = {"dtype": kind, "shape": each.shape, "data_offsets": offsets}
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + values)
    return path


def test_tensors_get_their_names_and_types(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1)
    words = numbers.standard_normal((9, 64)).astype("float32")
    query = numbers.standard_normal((64, 64)).astype("float32")
    bias = numbers.standard_normal(64).astype("float32")
    source = safetensors(
        tmp_path / "model.safetensors",
        embeddings__position_ids=np.arange(4, dtype="int64"),
        embeddings__word_embeddings__weight=words,
        embeddings__position_embeddings__weight=words[:4],
        embeddings__token_type_embeddings__weight=words[:2],
        encoder__layer__3__attention__self__query__weight=query,
        encoder__layer__3__attention__self__query__bias=bias,
        pooler__dense__weight=query,
    )
    convert(source, VOCABULARY, tmp_path / "model.gguf")
    found = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "model.gguf").tensors}
    kinds = {name: tensor.tensor_type.name for name, tensor in found.items()}
    assert kinds == {
        "token_embd.weight": "Q8_0",
        "position_embd.weight": "F32",
        "token_types.weight": "F32",
        "blk.3.attn_q.weight": "Q8_0",
        "blk.3.attn_q.bias": "F32",
    }
    assert np.array_equal(found["blk.3.attn_q.bias"].data, bias)
    again = dequantize(found["blk.3.attn_q.weight"].data, GGMLQuantizationType.Q8_0)
    assert np.abs(again - query).max() < 0.02


def test_words_are_marked_where_they_begin(tmp_path: Path) -> None:
    source = safetensors(tmp_path / "model.safetensors", pooler__dense__bias=np.zeros(2, "float32"))
    convert(source, VOCABULARY, tmp_path / "model.gguf")
    reader = GGUFReader(tmp_path / "model.gguf")
    field = reader.get_field("tokenizer.ggml.tokens")
    assert field is not None
    assert field.contents() == [*VOCABULARY[:5], "\u2581low", "est", "\u2581[", "\u2581]"]
    for name, expected in {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,  # spelled so in the format
        "bert.pooling_type": 1,
        "bert.attention.causal": False,
        "bert.attention.layer_norm_epsilon": pytest.approx(1e-12),
    }.items():
        about = reader.get_field(name)
        assert about is not None, name
        assert about.contents() == expected


def test_another_models_tensors_are_refused(tmp_path: Path) -> None:
    source = safetensors(tmp_path / "model.safetensors", vision__tower__weight=np.zeros((2, 2), "float32"))
    with pytest.raises(ValueError, match=r"no tensor vision\.tower\.weight"):
        convert(source, VOCABULARY, tmp_path / "model.gguf")

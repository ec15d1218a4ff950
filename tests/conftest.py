"""Shared fixtures: a tiny random language model with a byte tokenizer, for what needs some policy."""

import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog
import torch
from huggingface_hub import constants
from hypothesis import HealthCheck, settings
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from swarmd.config import PolicyConfig
from swarmd.hardware import rates
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.policy import Policy, load_policy

# One thread a process: the models are tiny, and the threads of several workers would fight over two cores.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
settings.register_profile(  # a busy machine is no failure
    "no wall clock", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("no wall clock")

SPECIAL = ("<|pad|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'][0] }}"
    "{{ m['content'] if m['content'] | length >= 1000 else m['content'][-20:] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>a{% endif %}"
)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A daemon in this process sends all log lines to its own stream, which is closed with its test."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For a test that counts on it, or runs what sets the number of threads itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """256 bytes and three control tokens; its template keeps the last 20 characters of each message, and
    all of those of 1,000 and more, because a template that cuts these is refused."""
    vocabulary = {symbol: index for index, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|im_end|>", padding_side="right"
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def tiny_model(seed: int = 0) -> Qwen2ForCausalLM:
    """Two layers of width 32, 27K parameters: random, and peaked enough that sampling is far from uniform."""
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.15,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config).eval()


@pytest.fixture(scope="session", autouse=True)
def measured_once() -> Iterator[None]:
    """A new home measures how fast its machine is. The machine is the same for all tests of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rates, "measure_rates", cache(rates.measure_rates))
        yield


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a directory that `--model` takes. Read it only."""
    path = tmp_path_factory.mktemp("tiny-model")
    tiny_model().save_pretrained(path)
    byte_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def cache_snapshot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path, str], Path]:
    """cache_snapshot(source, commit): the hub's model owner/name at `commit`, on this disk, with the files of
    `source`. The last commit is `main`. The hub itself is offline."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cached = tmp_path / "hub" / "models--owner--name"

    def cache_one(source: Path, commit: str) -> Path:
        (cached / "refs").mkdir(parents=True, exist_ok=True)
        (cached / "refs" / "main").write_text(commit)
        return Path(shutil.copytree(source, cached / "snapshots" / commit))

    return cache_one


@pytest.fixture
def make_policy(tiny_model_dir: Path) -> Callable[..., Policy]:
    """make_policy(lora_rank=None, dtype="float32", max_new_tokens=24): a fresh tiny policy on the CPU."""

    def make(lora_rank: int | None = None, dtype: str = "float32", max_new_tokens: int = 24) -> Policy:
        lora = None if lora_rank is None else LoraPlan(lora_rank, 2 * lora_rank)
        plan = HardwarePlan(str(tiny_model_dir), "cpu", dtype, 1, lora, ())
        return load_policy(PolicyConfig(model=plan.model), plan, max_new_tokens=max_new_tokens)

    return make

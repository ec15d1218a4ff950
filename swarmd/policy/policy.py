"""The policy: one language model that answers questions and says how likely its answers were.

Everything here is synchronous, and deterministic given the rng passed in. A caller with an event loop runs it
in a thread, one call at a time. `swarmd.learning` trains.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from swarmd.adapted import is_adapted
from swarmd.errors import ModelError
from swarmd.hardware.budgets import UNPLANNED, BudgetKeeper
from swarmd.hardware.guard import MemoryGuard
from swarmd.hardware.heap import release_freed
from swarmd.images import Images, Prompt
from swarmd.logprobs import DistinctLogprobs
from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.interface import LogprobsEngine, TokenRow
from swarmd.model.adapters import ADAPTER, adapted_modules
from swarmd.model.context import context_of, longest_prompt, why_shorter
from swarmd.model.sight_kinds import REMEDY as SIGHT_REMEDY
from swarmd.model.tokenizer import ChatTokenizer
from swarmd.model.trained import put_back, trainable_parameters
from swarmd.policy.engines import EngineWish, Subject, choose_engine, choose_logprobs
from swarmd.policy.stopping import Stops
from swarmd.rollout.batches import Decoding, decode_all
from swarmd.rollout.interface import Engine, Progress, RowEnd, StopSignal
from swarmd.rollout.sampling import draw_uniforms
from swarmd.tasks import Example, Exchange

if TYPE_CHECKING:
    from peft import PeftModel

Written = Callable[[str], None]
"""Receives the text of a completion so far, after some or all tokens. The last characters can still change.
Never called by an engine that reports rows only when they are finished."""


class PromptTooLongError(ModelError):
    """A question leaves too little room for an answer in the model's context."""


@dataclass(frozen=True)
class Sample:
    """One completion. Its last token is an end-of-sequence token if and only if it is `finished`; `text`
    omits it.

    `logprobs` are nats per token under the policy, at the sampling temperature.
    """

    token_ids: tuple[int, ...]
    text: str
    logprobs: tuple[float, ...]
    finished: bool


class Policy:
    """A causal language model with its tokenizer, on one device.

    `family` is the architecture and size, e.g. "qwen2-1.4M": only a hint for other peers. `engine_reason` and
    `logprobs_reason` are sentences for people: which engines write completions and compute logprobs, and why.
    A completion also ends right after the first text of `stop` (`policy/stopping.py`).
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: ChatTokenizer,
        *,
        max_new_tokens: int,
        temperature: float = 1.0,
        dtype: torch.dtype = torch.float32,
        budgets: BudgetKeeper | None = None,
        guard: MemoryGuard | None = None,
        engine: EngineWish | None = None,
        stop: Sequence[str] = (),
    ) -> None:
        # Always in eval mode: with dropout, the trained policy would differ from the policy that sampled.
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self.budgets = budgets or BudgetKeeper(UNPLANNED)
        self.family = _family(model)
        self.tokenizer_fingerprint = tokenizer.fingerprint
        self.device = next(model.parameters()).device
        self.dtype = dtype
        self._context = context_of(model.config)
        self._guard = guard
        self.examples: tuple[Example, ...] = ()
        """Solved questions that precede every question in the prompt."""
        self._stops = Stops(stop, tokenizer.decode_completion) if stop else None
        self._wish = engine or EngineWish()
        subject = Subject(model, tokenizer.pad_id, dtype, tokenizer.sight)
        self._engine = self._engine_for(subject)
        self._logprobs = self._logprobs_for(subject)
        self._reference: LogprobsEngine | None = None
        self._reference_adapter: list[Tensor] = []
        if guard is not None:
            guard.watch(model)
        self.release_freed_memory()

    @property
    def reasons(self) -> tuple[str, ...]:
        """What was chosen for this model and why, one sentence per choice."""
        found: tuple[str, ...] = (self.engine_reason, self.logprobs_reason)
        if is_adapted(self.model):
            found += (f"LoRA adapters are on {', '.join(adapted_modules(self.model))}",)
        shorter = why_shorter(self.model.config)
        return found if shorter is None else (*found, shorter)

    def _engine_for(self, subject: Subject) -> Engine:
        choice = choose_engine(self._wish, subject, eos_ids=self.tokenizer.eos_ids)
        self.engine_reason = choice.reason
        return choice.engine

    def _logprobs_for(self, subject: Subject) -> LogprobsEngine:
        choice = choose_logprobs(
            subject,
            recompute=lambda: self.budgets.budgets.gradient_checkpointing,
            before_layer=None if self._guard is None else self._guard.check,
        )
        self.logprobs_reason = choice.reason
        return DistinctLogprobs(choice.engine)

    # --- text to tokens ---------------------------------------------------------------------------

    def render(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> Prompt:
        """The prompt's token ids with its images, including the exchanges so far.

        Raises PromptTooLongError if too little room is left, and ModelError for images that the model cannot
        see.
        """
        if images and self.tokenizer.sight is None:
            raise ModelError(f"this swarm asks about images, but {self.family} sees none: {SIGHT_REMEDY}")
        prompt = self.tokenizer.render(question, self.examples, exchanges, images)
        longest = longest_prompt(self._context, self.max_new_tokens)
        if len(prompt) > longest:
            raise PromptTooLongError(
                f"the prompt has {len(prompt)} tokens, but a context of {self._context} has room for "
                f"{longest}: use a model with a longer context, fewer new tokens, or tasks with shorter "
                "questions"
            )
        return prompt

    def fits(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> bool:
        """Whether `render` accepts this question. Raises ModelError for images that the model cannot see."""
        try:
            self.render(question, exchanges, images)
        except PromptTooLongError:
            return False
        return True

    def encode_completion(self, text: str, finished: bool, prompt_tokens: int = 0) -> tuple[int, ...]:
        """Token ids of a completion that is known only as text: at most `max_new_tokens`, and at most what
        fits into the context after a prompt of `prompt_tokens`."""
        return self.tokenizer.encode_completion(text, finished, self._room(prompt_tokens))

    def completion_spans(
        self, text: str, finished: bool, prompt_tokens: int = 0
    ) -> tuple[tuple[int, int], ...]:
        """The position in `text` of each token of `encode_completion`."""
        return self.tokenizer.completion_spans(text, finished, self._room(prompt_tokens))

    def _room(self, prompt_tokens: int) -> int:
        return min(self.max_new_tokens, self._context - prompt_tokens)

    # --- generation -------------------------------------------------------------------------------

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        group_size: int,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        *,
        rng: torch.Generator,
        progress: Progress | None = None,
        should_stop: StopSignal | None = None,
        written: Written | None = None,
    ) -> list[list[Sample]]:
        """Generate `group_size` samples for every prompt (ids from `render`), in one pass if memory allows.

        `rng` is on the CPU and is the only source of randomness, so saving its state is enough to repeat a
        call. `progress` receives the number of new tokens after every decoding step, or a negative number for
        tokens that will be decoded again. `written` receives the text of a single completion. Raises
        GenerationStoppedError once `should_stop` is set. Raises ModelError if even small batches do not fit
        into memory, or if the model computes NaN (float16 overflows easily).
        """
        tokens = min(max_new_tokens or self.max_new_tokens, self.max_new_tokens)
        uniforms = draw_uniforms(len(prompts) * group_size, tokens, rng)
        flat = self._decode(
            prompts,
            group_size,
            tokens,
            uniforms,
            temperature or self.temperature,
            progress,
            should_stop,
            written,
        )
        return [flat[start : start + group_size] for start in range(0, len(flat), group_size)]

    def greedy(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int | None = None,
        *,
        progress: Progress | None = None,
        should_stop: StopSignal | None = None,
        written: Written | None = None,
    ) -> list[Sample]:
        """The greedy completion of every prompt: no randomness, for evaluation. Raises the same as
        `generate`."""
        tokens = min(max_new_tokens or self.max_new_tokens, self.max_new_tokens)
        return self._decode(prompts, 1, tokens, None, 1.0, progress, should_stop, written)

    def _decode(
        self,
        prompts: Sequence[Sequence[int]],
        num_completions: int,
        tokens: int,
        uniforms: Tensor | None,
        temperature: float,
        progress: Progress | None,
        should_stop: StopSignal | None,
        written: Written | None,
    ) -> list[Sample]:
        decoded = decode_all(
            self._engine,
            prompts,
            num_completions,
            Decoding(
                tokens,
                self._context,
                uniforms,
                temperature,
                progress,
                should_stop,
                self._row_end(written),
            ),
            budgets=self.budgets,
            guard=self._guard,
        )
        self.release_freed_memory()
        if any(math.isnan(logprob) for row in decoded for logprob in row.logprobs):
            raise ModelError(
                f"{self.family} computes NaN (not a number): use --dtype float32 if it does not yet, or go "
                "back to other weights"
            )
        text_of = self.tokenizer.decode_completion
        if self._stops is not None:
            decoded = [self._stops.cut(row) for row in decoded]
        return [Sample(row.token_ids, text_of(row.token_ids), row.logprobs, row.finished) for row in decoded]

    def has_ended(self, sample: Sample) -> bool:
        """Whether it ended by itself, with an end token or a text of `stop`, instead of being cut off."""
        return sample.finished or (self._stops is not None and self._stops.ends(sample.text))

    def _row_end(self, written: Written | None) -> RowEnd | None:
        """The callback that engines call after each token, which also reports a completion as it grows."""
        is_complete = None if self._stops is None else self._stops.is_complete
        if written is None:
            return is_complete
        text_of = self.tokenizer.decode_completion

        def row_end(token_ids: Sequence[int]) -> bool:
            written(text_of(token_ids))
            return is_complete is not None and is_complete(token_ids)

        return row_end

    # --- log-probabilities ------------------------------------------------------------------------

    def logprobs(self, rows: Sequence[TokenRow], temperature: float | None = None) -> tuple[Tensor, Tensor]:
        """Teacher-forced logprobs [B, T] (float32, differentiable) and their mask [B, T]."""
        return self._logprobs.logprobs(rows, temperature or self.temperature)

    def logprobs_and_states(
        self, rows: Sequence[TokenRow], temperature: float | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`logprobs`, and the last hidden states before each token [B, T, H], without gradient."""
        return self._logprobs.logprobs_and_states(rows, temperature or self.temperature)

    @property
    def state_width(self) -> int:
        """H of `logprobs_and_states`: the input width of the output layer."""
        head: nn.Linear = self.model.get_output_embeddings()
        return head.weight.shape[1]

    @property
    def factored_gradients(self) -> FactoredGradients | None:
        """Gradients of `logprobs` that are not in `.grad`; None if all are there."""
        return self._logprobs.factored

    @property
    def shares_prompts(self) -> bool:
        """Whether `logprobs` computes a prompt once for all its completions, instead of once for each."""
        return self._logprobs.shares_prompts

    def release_freed_memory(self) -> None:
        """Call this after loading, generating or training: the next phase cannot use memory cached by the
        last."""
        release_freed(self.device, sum(p.nbytes for p in self.model.parameters()))

    def budget_tokens(self, rows: Sequence[TokenRow]) -> int:
        """How many training tokens of a budget `rows` take if they are computed together."""
        return self._logprobs.tokens(rows)

    def freeze_reference(self) -> None:
        """Keep the current weights as the reference of a KL penalty. With LoRA, only the adapter is kept."""
        if is_adapted(self.model):
            self._reference_adapter = [p.detach().clone() for _, p in self.trainable_parameters()]
        else:
            self._reference = self._logprobs_for(
                Subject(
                    copy.deepcopy(self.model).requires_grad_(False),
                    self.tokenizer.pad_id,
                    self.dtype,
                    self.tokenizer.sight,
                )
            )

    @torch.no_grad()
    def reference_logprobs(self, rows: Sequence[TokenRow], temperature: float | None = None) -> Tensor:
        """Logprobs [B, T] under the frozen reference. Call `freeze_reference` first."""
        temperature = temperature or self.temperature
        if self._reference is not None:
            return self._reference.logprobs(rows, temperature)[0]
        if not self._reference_adapter:
            raise RuntimeError("reference_logprobs was called before freeze_reference")
        self._exchange_adapters()
        try:
            return self._logprobs.logprobs(rows, temperature)[0]
        finally:
            self._exchange_adapters()

    def _exchange_adapters(self) -> None:
        """Exchange the adapter with the one of the reference.

        Nothing is copied: a backward pass that is still to come needs the trained weights unchanged.
        """
        current = [p for _, p in self.trainable_parameters()]
        for index, parameter in enumerate(current):
            kept, self._reference_adapter[index] = self._reference_adapter[index], parameter.data
            parameter.data = kept

    # --- what is trained --------------------------------------------------------------------------

    def trainable_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters that training changes: all weights, or only the adapter's."""
        return trainable_parameters(self.model)

    def trainable_state(self, *, live: bool = False) -> dict[str, Tensor]:
        """The trainable weights on the CPU, as copies that can be written out while training continues. With
        `live`, weights already on the CPU are not copied: use them before the next step."""
        return {name: p.detach().to("cpu", copy=not live) for name, p in self.trainable_parameters()}

    def load_trainable_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the result of `trainable_state`. Raises ModelError, changing nothing, if it is from another
        model."""
        put_back(self.model, state, self.family)


def _family(model: PreTrainedModel | PeftModel) -> str:
    """Architecture and number of base parameters, e.g. "qwen2-494M"."""
    count = sum(p.numel() for name, p in model.named_parameters() if ADAPTER not in name)
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if count >= size:
            scaled = count / size
            return (
                f"{model.config.model_type}-{scaled:.1f}{unit}"
                if scaled < 10
                else (f"{model.config.model_type}-{scaled:.0f}{unit}")
            )
    return f"{model.config.model_type}-{count}"

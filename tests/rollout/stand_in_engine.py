"""A stand-in for vLLM on the CPU, with its own copy of the model, for the engine that calls it."""

import copy

import torch

from swarmd.rollout import EagerEngine
from swarmd.rollout.vllm_calls import EngineRow


class StandInEngine:
    """Implements `VllmCalls`: one queued row is finished in each step, the newest first.

    Asleep it refuses to work, and it has no weights until it is given some.
    """

    def __init__(self, model):
        self.model = copy.deepcopy(model)
        self.awake = False
        self.queue = {}
        self.calls = []
        self._forget()

    def wake(self, weights):
        assert not self.awake
        self.calls.append("wake")
        with torch.no_grad():
            loaded = self.model.load_state_dict(dict(weights), strict=False)
        assert loaded.missing_keys in ([], ["lm_head.weight"])
        assert loaded.unexpected_keys == []
        self.awake = True

    def submit(self, row, prompt_ids, sampling):
        assert self.awake
        self.queue[row] = (prompt_ids, sampling)

    def step(self):
        assert self.awake
        row, (prompt, sampling) = self.queue.popitem()
        rng = torch.Generator().manual_seed(sampling.seed)
        uniforms = torch.rand(1, sampling.max_tokens, generator=rng)
        eager = EagerEngine(
            self.model,
            pad_id=0,
            eos_ids=frozenset(sampling.eos_ids),
            dtype=next(self.model.parameters()).dtype,
        )
        greedily = sampling.temperature == 0
        (decoded,) = eager.decode(
            [prompt],
            1,
            sampling.max_tokens,
            uniforms=None if greedily else uniforms,
            temperature=sampling.temperature,
            progress=None,
            should_stop=None,
        )
        return [(row, EngineRow(decoded.token_ids, decoded.logprobs))]

    def abort(self, rows):
        self.calls.append("abort")
        assert set(self.queue) <= set(rows)
        self.queue.clear()

    def sleep(self):
        self.calls.append("sleep")
        assert not self.queue
        self.awake = False
        self._forget()

    def _forget(self):
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.fill_(float("nan"))

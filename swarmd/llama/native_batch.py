"""One batch decoded by `native.cpp`: pointers to the model's current weights, its prompts, and its memory."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from swarmd.llama import library
from swarmd.llama.library import NativeError
from swarmd.llama.products import adapter_factors, base_linear
from swarmd.llama.reading import Decoder, Layer
from swarmd.llama.rotary import rotations


class NativeBatch:
    """`copies` rows per prompt: row n continues prompt n // copies. A context manager.

    Weights must not change while it is open. Raises NativeError for weights that cannot be read in place,
    IndexError for token ids that the model does not have, and MemoryError.
    """

    def __init__(
        self,
        native: ctypes.CDLL,
        decoder: Decoder,
        prompts: Sequence[Sequence[int]],
        copies: int,
        new_tokens: int,
        *,
        narrow: int = 0,
    ) -> None:
        self._native = native
        self._vocabulary = decoder.embedding.num_embeddings
        self._prompts = [self._checked(torch.tensor(prompt)) for prompt in prompts]
        described = _Described(decoder)
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        columns = int(lengths.max()) + new_tokens
        embedding = decoder.embedding.weight.detach()
        job = library.Job(
            lengths=lengths.data_ptr(),
            rotations=described.floats(rotations(decoder.rotary, torch.arange(columns), embedding)),
            prompts=len(prompts),
            copies=copies,
            new_tokens=new_tokens,
            positions=columns,
            threads=torch.get_num_threads(),
        )
        sizes = (ctypes.c_int64 * 2)()
        if native.swarmd_sizes(described.model, job, sizes):
            raise MemoryError
        self.numel = sum(sizes)
        """Total numbers in the cache and the scratch."""
        cache, scratch = (described.floats(torch.empty(size)) for size in sizes)
        self._described = described
        self._opened = native.swarmd_open(described.model, job, cache, scratch, narrow)
        if self._opened is None:
            raise MemoryError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._native.swarmd_close(self._opened)

    def run_prompt(self, index: int) -> None:
        """Run a prompt. Every prompt must run once before rows are written."""
        self._native.swarmd_prompt(self._opened, index, self._prompts[index].data_ptr())

    def write(
        self,
        rows: Tensor,
        *,
        draws: Tensor | None = None,
        given: Tensor | None = None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """The next tokens [R] of these rows [R], and their logprobs [R].

        All rows must have written equally many tokens. draws [R] are float32 uniforms; given [R] are the
        tokens to write. Without either, rows write the most likely token.
        """
        tokens, logprobs = torch.empty(len(rows), dtype=torch.long), torch.empty(len(rows))
        self._native.swarmd_next(
            self._opened,
            len(rows),
            rows.data_ptr(),
            None if draws is None else draws.data_ptr(),
            None if given is None else self._checked(given).data_ptr(),
            temperature,
            tokens.data_ptr(),
            logprobs.data_ptr(),
        )
        return tokens, logprobs

    def _checked(self, ids: Tensor) -> Tensor:
        if int(ids.min()) < 0 or int(ids.max()) >= self._vocabulary:
            raise IndexError(
                f"token ids must be from 0 to {self._vocabulary - 1} (largest here: {int(ids.max())})"
            )
        return ids


class _Described:
    """A model's structures, and the tensors they point to."""

    def __init__(self, decoder: Decoder) -> None:
        if base_linear(decoder.head).out_features > decoder.embedding.num_embeddings:
            raise NativeError("it can write tokens that it cannot read")
        self._held: list[Tensor] = []
        layers = [self._layer(layer) for layer in decoder.layers]
        self._layers = (library.Layer * len(layers))(*layers)
        self.model = library.Model(
            layers=self._layers,
            embedding=self.floats(decoder.embedding.weight),
            norm=self.floats(decoder.norm.weight),
            head=self._linear(decoder.head),
            count=len(layers),
            hidden=decoder.embedding.embedding_dim,
            heads=decoder.heads,
            kv_heads=decoder.kv_heads,
            head_size=decoder.head_size,
            between=base_linear(decoder.layers[0].gate).out_features,
            epsilon=decoder.norm.epsilon,
        )

    def floats(self, values: Tensor) -> int:
        """The address of these numbers. They are kept alive by this object."""
        if values.dtype != torch.float32 or values.device.type != "cpu":
            raise NativeError(f"a weight is in {values.dtype} on {values.device}".replace("torch.", ""))
        held = values.detach().contiguous()
        self._held.append(held)
        return held.data_ptr()

    def _layer(self, layer: Layer) -> library.Layer:
        found = library.Layer(
            input_norm=self.floats(layer.input_norm.weight),
            feed_forward_norm=self.floats(layer.feed_forward_norm.weight),
            query=self._linear(layer.query),
            key=self._linear(layer.key),
            value=self._linear(layer.value),
            output=self._linear(layer.output),
            gate=self._linear(layer.gate),
            up=self._linear(layer.up),
            down=self._linear(layer.down),
            input_epsilon=layer.input_norm.epsilon,
            feed_forward_epsilon=layer.feed_forward_norm.epsilon,
            scale=layer.scale,
        )
        if layer.query_norm is not None and layer.key_norm is not None:
            found.query_norm = self.floats(layer.query_norm.weight)
            found.key_norm = self.floats(layer.key_norm.weight)
            found.query_epsilon = layer.query_norm.epsilon
            found.key_epsilon = layer.key_norm.epsilon
        return found

    def _linear(self, linear: nn.Module) -> library.Linear:
        base = base_linear(linear)
        found = library.Linear(
            weight=self.floats(base.weight), outputs=base.out_features, inputs=base.in_features
        )
        if base.bias is not None:
            found.bias = self.floats(base.bias)
        factors = adapter_factors((linear,), torch.float32)
        if factors is not None:
            down, up = factors
            found.down, found.up, found.rank = self.floats(down.float()), self.floats(up.t()), len(down)
        return found

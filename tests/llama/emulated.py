"""A native library in a process of its own, which may be of another machine: `emulated.cpp`."""

import ctypes
import subprocess


class Call(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_int64),
        ("number", ctypes.c_int64),
        ("draws", ctypes.c_void_p),
        ("given", ctypes.c_void_p),
        ("temperature", ctypes.c_float),
        ("unused", ctypes.c_float),
    )


class Emulated:
    """Has the functions of the library that `native_batch.py` calls. A context manager."""

    def __init__(self, command):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.kernels = self._process.stdout.readline().decode().strip()
        self._lengths = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def swarmd_sizes(self, model, job, sizes):
        return 0  # the process allocates its own memory

    def swarmd_open(self, model, job, cache, scratch, narrow):
        self._send(Call(ord("o"), narrow), model, job)
        self._floats(model.embedding, model.head.outputs * model.hidden)
        self._floats(model.norm, model.hidden)
        self._linear(model.head)
        lengths = (ctypes.c_int64 * job.prompts).from_address(job.lengths)
        self._lengths = list(lengths)
        self._send(lengths)
        self._floats(job.rotations, 2 * job.positions * model.head_size)
        for index in range(model.count):
            self._layer(model, model.layers[index])
        return 1

    def swarmd_prompt(self, opened, index, ids):
        self._send(Call(ord("p"), index))
        self._array(ids, 8 * self._lengths[index])

    def swarmd_next(self, opened, count, rows, draws, given, temperature, tokens, logprobs):
        self._send(Call(ord("n"), count, draws, given, temperature))
        self._array(rows, 8 * count)
        self._floats(draws, count)
        self._array(given, 8 * count)
        self._process.stdin.flush()
        for address, size in ((tokens, 8 * count), (logprobs, 4 * count)):
            ctypes.memmove(address, self._process.stdout.read(size), size)

    def swarmd_close(self, opened):
        self._send(Call(ord("c")))

    def _layer(self, model, layer):
        self._send(layer)
        for weight in (layer.input_norm, layer.feed_forward_norm):
            self._floats(weight, model.hidden)
        for weight in (layer.query_norm, layer.key_norm):
            self._floats(weight, model.head_size)
        for name in ("query", "key", "value", "output", "gate", "up", "down"):
            self._linear(getattr(layer, name))

    def _linear(self, linear):
        self._floats(linear.weight, linear.outputs * linear.inputs)
        self._floats(linear.bias, linear.outputs)
        self._floats(linear.down, linear.rank * linear.inputs)
        self._floats(linear.up, linear.outputs * linear.rank)

    def _floats(self, address, count):
        self._array(address, 4 * count)

    def _array(self, address, size):
        if address is not None:
            self._process.stdin.write(ctypes.string_at(address, size))

    def _send(self, *structures):
        for structure in structures:
            self._process.stdin.write(bytes(structure))

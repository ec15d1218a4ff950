"""`swarmd export`: write the trained model to a folder that other programs can load.

It only reads the home, so it works next to a running daemon.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swarmd.cli.folder import require_free, whole_folder
from swarmd.cli.gguf import convert, require_converter
from swarmd.cli.home import DEFAULT_HOME, HomeOption, checkpoint_option, home_path
from swarmd.cli.subject import Wanted, find_checkpoint, saved_settings
from swarmd.config import PolicyConfig, load_config
from swarmd.errors import ConfigError
from swarmd.observe import printable
from swarmd.storage import Home
from swarmd.user_paths import looking_at, path_of

if TYPE_CHECKING:
    from swarmd.model.exporting import Trained
    from swarmd.storage import Checkpoint


class Format(enum.StrEnum):
    """Number formats of exported weights."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


FolderArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="New or empty directory to write.", show_default=False)
]
BaseOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME|DIR", help="The base model of these weights, if it was moved."),
]
AdapterOption = Annotated[
    bool, typer.Option("--adapter", help="Write the LoRA adapter alone, as peft saves it.")
]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--dtype",
        help="Number format of the weights. float32 is what was trained; the others are rounded and take "
        "half the space.",
    ),
]
GgufOption = Annotated[
    Path | None,
    typer.Option("--gguf", metavar="FILE", help="Also write a GGUF file. Needs llama.cpp's converter."),
]
HubOption = Annotated[
    str | None,
    typer.Option("--push-to-hub", metavar="REPO", help="Also upload DIR to this model of the hub."),
]
PrivateOption = Annotated[bool, typer.Option("--private", help="Make a new REPO private instead of public.")]


def export(
    folder: FolderArgument,
    home: HomeOption = DEFAULT_HOME,
    checkpoint: Annotated[Path | None, checkpoint_option("Export")] = None,
    model: BaseOption = None,
    adapter: AdapterOption = False,
    dtype: FormatOption = Format.FLOAT32,
    gguf: GgufOption = None,
    push_to_hub: HubOption = None,
    private: PrivateOption = False,
) -> None:
    """Write the trained model as a folder that transformers loads, with a model card.

    By default this exports the home's newest checkpoint. A LoRA adapter is merged into its base model, unless
    --adapter asks for it alone. DIR appears whole or not at all, and nothing is overwritten. A running daemon
    is not disturbed.

    The model card names the swarm, its tasks, the held-out success and the peers learned from, by their ids.
    """
    target = path_of(folder).absolute()
    with looking_at(folder):
        if target.is_dir():
            target = target.resolve()  # a link is kept, and its target is written
    require_free(target)
    if adapter and gguf is not None:
        raise ConfigError("--gguf converts a whole model, but --adapter writes none: leave one of them out")
    if private and push_to_hub is None:
        raise ConfigError("--private concerns a new model on the hub: name it with --push-to-hub")
    gguf = None if gguf is None else path_of(gguf, "--gguf")
    converter = None if gguf is None else require_converter(gguf)
    if push_to_hub is not None:
        from swarmd.model.publishing import require_access

        require_access(push_to_hub)
    wanted = Wanted(home_path(home), True, checkpoint, {})
    wanted.require_home()
    if wanted.is_untrained():
        raise _nothing_trained(wanted.home)
    _say("reading the checkpoint")
    found = _checkpoint(wanted)
    _say(f"step {found.step} ({found.path})")
    _write(_trained(found, wanted, model), found, target, adapter=adapter, dtype=dtype)
    _say(f"written to {target}")
    if converter is not None and gguf is not None:
        _say("running llama.cpp's converter")
        convert(converter, target, gguf)
        _say(f"written to {gguf}")
    if push_to_hub is not None:
        from swarmd.model.publishing import publish

        message = f"swarmd: step {found.step}"
        _say(f"uploaded to {publish(target, push_to_hub, private=private, message=message)}")


def _checkpoint(wanted: Wanted) -> Checkpoint:
    kept = load_config(wanted.home, {}).storage.checkpoints_kept
    found = find_checkpoint(wanted, Home(wanted.home), kept)
    if found is None:
        raise _nothing_trained(wanted.home)
    return found


def _nothing_trained(home: Path) -> ConfigError:
    return ConfigError(
        f"{home} has no checkpoint, so nothing has been trained there yet: `swarmd join` writes the "
        "first one after its first step, or name another --home"
    )


def _trained(checkpoint: Checkpoint, wanted: Wanted, model: str | None) -> Trained:
    """Return what to export, verified to be what was trained. Raises ConfigError, ModelError."""
    from swarmd.hardware.plan import LoraPlan
    from swarmd.model import Base, locate
    from swarmd.model.exporting import Trained
    from swarmd.step.trained_on import with_model_of

    given = load_config(wanted.home, {}).policy.model_dump(exclude_unset=True)
    flags = {} if model is None else {"model": model}
    policy = PolicyConfig.model_validate({**given, **saved_settings(checkpoint), **flags})
    policy = with_model_of(policy, checkpoint)
    located = locate(policy.model)
    lora = None
    if policy.lora_rank is not None:
        lora = LoraPlan(policy.lora_rank, policy.lora_alpha or 2 * policy.lora_rank)
        Base.of(located).require_same(checkpoint.state.get("base"), checkpoint.path)
    tokenizer = checkpoint.state.get("tokenizer")
    return Trained(
        located,
        checkpoint.tensors,
        lora,
        policy.template_args,
        tokenizer if isinstance(tokenizer, str) else None,
    )


def _write(trained: Trained, checkpoint: Checkpoint, target: Path, *, adapter: bool, dtype: Format) -> None:
    import torch
    from transformers.utils import logging as transformers_logging

    from swarmd.cli.card_facts import gather
    from swarmd.cli.model_card import write_card
    from swarmd.model.exporting import write_adapter, write_model

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with whole_folder(target) as folder:
        if adapter:
            tokenizer = write_adapter(trained, folder)
        else:
            tokenizer = write_model(trained, folder, getattr(torch, dtype.value))
        write_card(folder, gather(checkpoint, trained, tokenizer, title=target.name, adapter=adapter))


def _say(what: str) -> None:
    typer.echo(printable(what))

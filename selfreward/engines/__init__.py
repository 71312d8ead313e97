"""Engines turn chats into completions: `base` says what an engine is, `local` runs transformers weights with its own
batched sampler, `server` asks an endpoint of the OpenAI API (`endpoint`), `vllm` starts one, `ray` has replicas of `local`
on a cluster (`replicas`), `scripted` is a fake that says what it is told. An engine of a user's own is named as
`package.module:function`; the function takes (options, model_folder) and returns an engine.
"""

from collections.abc import Callable
from pathlib import Path

from selfreward.engines.base import Engine
from selfreward.named import find
from selfreward.recipe import EngineOptions

OpenEngine = Callable[[EngineOptions, str | Path], Engine]


def _local(options: EngineOptions, model_folder: str | Path) -> Engine:
    from selfreward.engines.local import LocalEngine

    return LocalEngine(
        model_folder,
        batch_size=options.batch_size,
        dtype=options.dtype,
        device=options.device,
        threads=options.threads,
        trust_remote_code=options.trust_remote_code,
    )


def _server(options: EngineOptions, model_folder: str | Path) -> Engine:
    from selfreward.engines.endpoint import Endpoint, read_key
    from selfreward.engines.server import ServerEngine

    settings = options.server
    folder = Path(model_folder).resolve()  # the server may work in another folder
    name = settings.model or str(folder if folder.is_dir() else model_folder)
    return ServerEngine(name, Endpoint(settings.url or "", settings, read_key(settings.api_key_env)))


def _vllm(options: EngineOptions, model_folder: str | Path) -> Engine:
    from selfreward.engines.vllm import VllmEngine

    return VllmEngine(model_folder, options)


def _ray(options: EngineOptions, model_folder: str | Path) -> Engine:
    from selfreward.engines.ray import RayEngine

    return RayEngine(model_folder, options)


ENGINES: dict[str, OpenEngine] = {"local": _local, "server": _server, "vllm": _vllm, "ray": _ray}


def find_engine(name: str) -> OpenEngine:
    """What opens the engine of this name; BadInput where there is none."""
    return find(name, ENGINES, "engine.name")


def open_engine(options: EngineOptions, model_folder: str | Path) -> Engine:
    """The engine that the options name, holding the model of the folder; close it when done."""
    return find_engine(options.name)(options, model_folder)


def check_engine(options: EngineOptions) -> None:
    """BadInput where the engine could not be opened: no key, no server or cluster that answers, no vllm command."""
    find_engine(options.name)
    if options.name == "server":
        from selfreward.engines.endpoint import check_reachable, read_key

        check_reachable(options.server.url or "", read_key(options.server.api_key_env))
    elif options.name == "vllm":
        from selfreward.engines.vllm import find_vllm

        find_vllm()
    elif options.name == "ray":
        from selfreward.engines.ray import check_cluster

        check_cluster(options.ray.address)

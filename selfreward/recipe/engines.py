"""What turns prompts into completions: weights in this process, a server, or an engine of the user's."""

from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, TypeAdapter, field_validator, model_validator

from selfreward.recipe.fields import Count, Part, Positive, Section, Whole, cited


class Server(Section):
    """How an endpoint of the OpenAI API is asked, for the engines `server` and `vllm`."""

    url: str | None = cited(None, "as http://127.0.0.1:8000/v1; wanted by server, which asks it for chat/completions")
    model: str | None = cited(None, "its name there; none asks for the model of the round by its folder")
    api_key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = cited(
        None, "the environment variable that holds the key; none sends no key"
    )
    concurrency: Count = cited(16, "requests that are under way at once")
    requests_per_minute: Count | None = cited(None, "none sets no pace")
    timeout_s: Positive = cited(600, "seconds that one answer may take")
    retries: Whole = cited(
        6, "tries after the first; for connections that fail, 429, 5xx and answers that are no JSON alone"
    )

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        if url is not None:
            parts = TypeAdapter(HttpUrl).validate_python(url)
            if parts.username or parts.password or parts.query or parts.fragment:
                raise ValueError("must have no user, password, query or fragment: a key belongs in api_key_env")
        return url


class Vllm(Section):
    """How `vllm serve` is started, for the engine `vllm`."""

    args: tuple[str, ...] = cited((), "further arguments of `vllm serve`, as --tensor-parallel-size, '4'")
    start_s: Positive = cited(900, "seconds it may take to load the model and answer")


class Ray(Section):
    """How replicas of the engine `local` share the requests on a Ray cluster, for the engine `ray`."""

    address: str | None = cited(
        None, "as head:6379, or auto on a machine of the cluster; none: RAY_ADDRESS, else a cluster of its own, here"
    )
    replicas: Count | None = cited(
        None, "copies of the model, wanted by ray: as many as there are GPUs, or cores / cpus"
    )
    block: Count = cited(16, "requests that a replica is handed, and decodes, at once; fewer if some had none else")
    cpus: Count = cited(
        1, "cores that are kept for a replica; on a processor it has as many threads, or engine.threads"
    )
    gpus: Part | None = cited(None, "one where the cluster has GPUs; a part lets replicas of a small model share one")
    deaths: Whole = cited(
        16, "replicas that may die, and are replaced, in one batch; a machine takes 8 of 8 GPUs with it"
    )
    start_s: Positive = cited(900, "seconds to wait for a replica to be ready, where none is")


class EngineOptions(Section):
    """What turns prompts into completions. A matter of the machine, so the paper has no part in it."""

    name: str = cited(
        "local",
        "local: weights in this process; server: an endpoint of the OpenAI API; vllm: a server of our own start; "
        "ray: local on the machines of a Ray cluster; or package.module:function",
    )
    batch_size: Count = cited(64, "prompt rows decoded at once, requests between two writes; no sample depends on it")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = cited("auto", "bfloat16 on a GPU, float32 on a CPU")
    device: Literal["auto", "cpu", "cuda"] = cited("auto", "the GPU where there is one")
    threads: Count | None = cited(None, "CPU threads; none leaves it to torch")
    trust_remote_code: bool = cited(
        False, "whether Python code in the model's folder may run, in sampling and in training; it can do anything"
    )
    server: Server = cited(Server(), Server.__doc__ or "")
    vllm: Vllm = cited(Vllm(), Vllm.__doc__ or "")
    ray: Ray = cited(Ray(), Ray.__doc__ or "")

    @model_validator(mode="after")
    def _what_the_engine_reads(self) -> Self:
        """Refuses a setting that the engine named would ignore; an engine of the user's may read any."""
        unused = {
            "local": ("server", "vllm", "ray"),
            "server": ("dtype", "device", "threads", "trust_remote_code", "vllm", "ray"),
            "vllm": ("device", "ray"),
            "ray": ("server", "vllm"),
        }
        fields = type(self).model_fields
        ignored = [name for name in unused.get(self.name, ()) if getattr(self, name) != fields[name].default]
        if self.name == "vllm":  # it gives its server an address, a name and a key itself
            set_ = self.server.model_dump(include={"url", "model", "api_key_env"}, exclude_none=True)
            ignored += [f"server.{name}" for name in set_]
        if ignored:
            raise ValueError(f"the engine {self.name} does not use {' and '.join(ignored)}")
        if self.name == "server" and self.server.url is None:
            raise ValueError("the engine server needs server.url")
        if self.name == "ray" and self.ray.replicas is None:
            raise ValueError("the engine ray needs ray.replicas")
        return self

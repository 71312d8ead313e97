"""To the hub, when a person asks for it: a model, or all data of a run, private unless they say otherwise."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from selfreward.errors import BadInput, StageFailed
from selfreward.export.data import PARQUET, export_data
from selfreward.export.model import export_model
from selfreward.recipe import RECIPE_FILE

OF_A_RUN = ("pairs", "judgements", "sft")  # every record that is anybody's data


def push(source: Path, repo: str, public: bool) -> str:
    """Makes or renews a repository: RUN as a data set, RUN/mK as a model; returns its address.

    BadInput where there is nothing to push, and where the repository is public already and `public` was not said; nothing
    was sent then. StageFailed, without a token in it, where the hub does not take it.
    """
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repo):
        raise BadInput("not the name of a repository", repo, "give owner/name")
    with TemporaryDirectory() as beside:
        folder = Path(beside) / "pushed"
        write_pushed(source, folder)
        return _upload(folder, repo, "dataset" if _is_run(source) else "model", public)


def write_pushed(source: Path, target: Path) -> None:
    """Writes `target`, a new folder, with all that `push` would send."""
    if _is_run(source):
        export_data(source, target, OF_A_RUN, PARQUET)
    else:
        export_model(source, target)


def _is_run(source: Path) -> bool:
    return (source / RECIPE_FILE).is_file()


def _upload(folder: Path, repo: str, kind: str, public: bool) -> str:
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = str(api.create_repo(repo, repo_type=kind, private=not public, exist_ok=True))
        is_private = bool(api.repo_info(repo, repo_type=kind).private)
        if is_private or public:
            api.upload_folder(repo_id=repo, repo_type=kind, folder_path=str(folder), commit_message="From selfreward")
    except Exception as error:  # of the network, of the hub, of its client: none says what a person should do
        todo = "log in with a token that may write: hf auth login, or the environment variable HF_TOKEN"
        raise StageFailed(f"the hub did not take it: {_told(error)}", repo, todo) from None
    if not (is_private or public):
        raise BadInput("is public already", repo, "say --public, or give another repository")
    return address


def _told(error: Exception) -> str:
    """What an error says, on one line and without the token that was sent."""
    from huggingface_hub import get_token

    said, token = " ".join(f"{type(error).__name__}: {error}".split()), get_token()
    return said.replace(token, "...") if token else said

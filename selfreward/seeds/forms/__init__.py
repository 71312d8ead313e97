"""The forms in which people keep instructions and responses, one module each, and how a form is told from its columns.

A reader is a pure function of rows that were checked: it yields an example or a ranked set for each prompt, and a word
for whatever it leaves out.
"""

from collections.abc import Iterable

from selfreward.errors import BadInput
from selfreward.seeds.forms import alpaca, messages, open_assistant, prompt_completion, ranked, sharegpt
from selfreward.seeds.forms.row import Form

FORMS: dict[str, Form] = {
    "open_assistant_trees": open_assistant.TREES,
    "open_assistant_messages": open_assistant.MESSAGES,
    "prompt_completion": prompt_completion.FORM,
    "messages": messages.FORM,
    "ranked": ranked.FORM,
    "alpaca": alpaca.FORM,
    "sharegpt": sharegpt.FORM,
}


def form_of(columns: Iterable[str], where: object) -> str:
    """The name of the one form that these columns are of; BadInput where there is none, or more than one."""
    found = set(columns)
    fitting = [(name, wanted) for name, form in FORMS.items() for wanted in form.columns if wanted <= found]
    if len(fitting) == 1:
        return fitting[0][0]
    listed = ", ".join(sorted(found)) or "none"
    if fitting:
        fits = " and ".join("+".join(sorted(wanted)) for _, wanted in fitting)
        raise BadInput(
            f"the columns {listed} fit more than one form: {fits}", where, "name the form, or leave columns out"
        )
    known = "; ".join(f"{name}: {'+'.join(sorted(form.columns[0]))}" for name, form in FORMS.items())
    raise BadInput(f"the columns {listed} are of no known form", where, f"rename them ({known})")

"""Names that people write: which known ones are near, and what neighbouring tools call them. Needs no numpy."""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import TypeVar, cast

Thing = TypeVar("Thing", bound=Callable)

LISTED = 12
"""So many names are listed whole; of more, only the nearest."""

SYNONYMS = {
    "ce": (
        "cross_entropy crossentropy cross_entropy_loss categorical_crossentropy softmax logistic log_loss nll nll_loss"
    ),
    "mse": "mean_squared_error mse_loss squared squared_error square l2 l2_loss quadratic",
    "label_smoothing": "smoothing smoothed label_smoothed",
    "linear": "identity none id",
    "leaky_relu": "leakyrelu lrelu",
    "gd": "sgd gradient_descent batch_gd momentum_sgd",
    "lbfgs": "l_bfgs l_bfgs_b bfgs quasi_newton",
    "newton": "newton_cg trust_ncg second_order",
    "flow": "gradient_flow ode",
    "dnc": "collapse nc neural_collapse etf simplex",
    "rng": "seed random_state random_seed seeds generator key",
    "starts": "n_starts num_starts nstarts restarts n_restarts n_init trials n_trials runs repetitions",
    "lam": "lambda lambda_ lmbda lamda weight_decay wd reg regularization ridge l2_penalty",
    "K": "classes n_classes num_classes nclasses",
    "n": "samples n_samples samples_per_class n_per_class num_samples counts",
    "d": "width widths hidden hidden_dim dim dims features_dim hidden_size",
    "L": "depth layers n_layers num_layers nlayers",
    "loss": "criterion loss_function loss_fn objective",
    "activation": "nonlinearity act activation_function",
    "lr": "learning_rate eta step_size stepsize",
    "max_steps": "max_iter maxiter max_iterations n_iter iterations epochs",
    "steps": "max_iter maxiter max_iterations n_iter iterations epochs",
    "tol": "tolerance gtol ftol xtol eps epsilon precision",
    "method": "optimizer solver algorithm",
    "start": "x0 init initial initialization init_point",
    "scale": "std sigma init_scale stddev",
    "jobs": "n_jobs workers num_workers processes threads cores n_cores",
    "progress": "verbose progress_bar disp show_progress",
    "features": "x h embeddings representations activations",
    "labels": "y target targets classes",
    "weights": "w classifier weight head",
    "X": "features h embeddings representations",
    "y": "labels target targets",
    "W": "weights weight classifier head",
    "out": "output out_file outfile store",
    "save": "output out_file outfile out",
    "plot": "figure fig picture plot_file",
}
"""Our word: what others call it."""


class WrongWord(TypeError, ValueError):
    """A keyword that a function does not know: a TypeError, as Python has it, and a ValueError, as bad input here."""


def nearest(word, known: Iterable[str], most: int = 3, cutoff: float = 0.6) -> list[str]:
    """The known names nearest to a word, the best first: what others call so, the same letters in other case, the like.

    >>> words = nearest("seed", ["starts", "rng", "progress"])
    >>> words, nearest("CE", ["ce", "mse"]), nearest("compar", ["compare", "solve"])
    (['rng'], ['ce'], ['compare'])
    """
    known = list(known)
    bare, folded = _folded(word), [_folded(name) for name in known]
    same = [name for name, text in zip(known, folded, strict=True) if text == bare or bare in _customary(text, name)]
    if same:
        return same[:1]
    matcher = difflib.SequenceMatcher(b=bare)
    likeness = {}
    for name, text in zip(known, folded, strict=True):
        matcher.set_seq1(text)
        likeness[name] = matcher.ratio()
    return [name for name in sorted(likeness, key=lambda name: -likeness[name]) if likeness[name] >= cutoff][:most]


def _customary(*names: str) -> set[str]:
    """What others call the thing that we call one of the names."""
    return {_folded(other) for name in names for other in SYNONYMS.get(name, "").split()}


def suggestion(word, known: Iterable[str], most: int = 3) -> str:
    """`did you mean 'compare'?`, or nothing where no name is near."""
    near = [repr(name) for name in nearest(word, known, most)]
    return f"did you mean {' or '.join([', '.join(near[:-1]), near[-1]][len(near) < 2 :])}?" if near else ""


def known_names(word, known: Iterable[str]) -> str:
    """The names in one breath: all of a few, the nearest three of many.

    >>> known_names("gk25:thm9", [f"gk25:thm{i}" for i in range(1, 100)])
    'one of 99 names, such as gk25:thm9'
    >>> known_names("dnk", ["dnc", "pairs"])
    'one of dnc, pairs'
    """
    known = list(known)
    if len(known) <= LISTED:
        return f"one of {', '.join(map(str, known))}"
    return f"one of {len(known)} names, such as {', '.join(nearest(word, known, cutoff=0.0))}"


def named_arguments(thing: Thing) -> Thing:
    """The function (or the class, in place), whose unknown keywords are answered by a sentence with the right word.

    >>> @named_arguments
    ... def search(starts=10, rng=None): ...
    >>> search(seed=0)
    Traceback (most recent call last):
    ufm.numerics.words.WrongWord: search has no argument 'seed'; did you mean 'rng'? It has starts, rng.
    """
    if inspect.isclass(thing):
        thing.__init__ = _answering(thing.__init__, thing.__name__)
        return cast(Thing, thing)
    return _answering(thing, thing.__name__)


def _answering(function: Thing, name: str) -> Thing:
    @functools.wraps(function)
    def called(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except TypeError:
            said = _sentence(inspect.signature(function), name, args, kwargs)
            if not said:  # the call was right: something inside went wrong
                raise
        raise WrongWord(said)

    return cast(Thing, called)


def _sentence(signature: inspect.Signature, name: str, args: tuple, given: dict) -> str:
    """What is wrong with a call; empty where nothing is."""
    kinds = {p.name: p.kind for p in signature.parameters.values()}
    taken = [word for word, kind in kinds.items() if kind is not inspect.Parameter.VAR_KEYWORD and word != "self"]
    unknown = next((word for word in given if word not in taken), None)
    if unknown is not None and inspect.Parameter.VAR_KEYWORD not in kinds.values():
        hint = suggestion(unknown, taken)
        return f"{name} has no argument {unknown!r}; {hint + ' It' if hint else 'it'} has {', '.join(taken)}."
    named = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    places = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(args) > len(places) and named:
        call = ", ".join([*(p.name for p in places), *(f"{word}=..." for word in named[: len(args) - len(places)])])
        return f"{name} takes {', '.join(named)} by name only: {name}({call})."
    try:
        signature.bind(*args, **given)
    except TypeError as mistake:
        return f"{name}: {mistake}; it has {', '.join(taken)}."
    return ""


def _folded(word) -> str:
    return re.sub(r"[^a-z0-9#:()+*.|,=]+", "_", str(word).casefold()).strip("_")

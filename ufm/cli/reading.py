"""From words to numbers, problems and files, with the name of the argument in every refusal."""

from __future__ import annotations

import os
from typing import Any

from ufm.cli.parser import add_json
from ufm.numerics.arithmetic import number


def add_method(verb, default: str = "lbfgs") -> None:
    """--method, --space and an option for every setting of every method, with the defaults that each has."""
    from ufm.solvers.methods.method import METHODS, known_settings

    verb.add_argument(
        "--method", default=default, metavar="NAME", help=f"{', '.join(METHODS.members())} (default {default})"
    )
    verb.add_argument("--space", default=None, metavar="NAME", help="factors or reduced (default by method)")
    group = verb.add_argument_group("settings of the methods")
    for name, homes in known_settings().items():
        group.add_argument(_option(name), dest=name, default=None, metavar="X", help=_told(homes))


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _told(homes) -> str:
    """`most steps (lbfgs 10000; newton 50)`: what a setting is, and its default by method."""
    texts: dict[str, dict[str, list[str]]] = {}
    for method, field in homes:
        default = "none" if field.default is None else _written(field.default)
        texts.setdefault(field.metadata.get("help", ""), {}).setdefault(default, []).append(method.name)
    told = []
    for text, defaults in texts.items():
        given = "; ".join(f"{', '.join(names)} {default}" for default, names in defaults.items())
        told.append(f"{text} ({given})".strip())
    return "; ".join(told).replace("%", "%%")


def _written(value) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_settings(arguments) -> dict:
    """The settings given on the command line, words where their defaults are words."""
    from ufm.solvers.methods.method import known_settings

    found = {}
    for name, homes in known_settings().items():
        text = getattr(arguments, name, None)
        if text is None:
            continue
        kinds = {type(field.default) for _, field in homes}
        if bool in kinds:
            found[name] = _truth(_option(name), text)
        else:
            found[name] = text if str in kinds else numbers(_option(name), text)
    return found


def _truth(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"argument {name}: must be true or false; got {text!r}.")
    return text.lower() == "true"


def add_problem(verb, required: bool = True) -> None:
    group = verb.add_argument_group("problem (numbers may be written 2**-10, 1e-3, 5**(1/3); lists with commas)")
    group.add_argument("-K", required=required, metavar="K", help="classes")
    group.add_argument("-n", default="1", metavar="N", help="samples per class, one number or K counts (default 1)")
    group.add_argument("-d", default=None, metavar="D", help="hidden width, one number or L widths (default K)")
    group.add_argument("-L", default="1", metavar="L", help="weight layers after the free features (default 1)")
    group.add_argument(
        "--lam",
        required=required,
        metavar="LAM",
        help="ridge weight, one number or L+1 ordered H_1, W_1, ..., W_L; 0: no ridge",
    )
    group.add_argument("--loss", default="ce", metavar="NAME", help="by name (default ce)").late = _losses
    group.add_argument(
        "--activation", default="linear", metavar="NAME", help="linear, relu, leaky_relu(0.1), tanh (default linear)"
    )
    group.add_argument("--bias", default=None, metavar="B", help="weight of a last-layer bias (default: no bias)")


def _losses() -> str:
    from ufm import losses

    return f"{', '.join(losses.names())} (default ce)"


def read_problem(arguments):
    """The Problem meant by the command line; ValueError naming what is wrong."""
    from ufm.problem import Problem

    return Problem(
        K=numbers("-K", arguments.K),
        n=numbers("-n", arguments.n),
        d=None if arguments.d is None else numbers("-d", arguments.d),
        L=numbers("-L", arguments.L),
        lam=numbers("--lam", arguments.lam),
        loss=arguments.loss,
        activation=arguments.activation,
        bias=None if arguments.bias is None else numbers("--bias", arguments.bias),
    )


def numbers(name: str, text: str) -> Any:
    """One number, or a tuple of them for a list with commas; whole numbers come out as int."""
    try:
        values = tuple(int(v) if v.is_integer() and abs(v) < 2**53 else v for v in map(number, text.split(",")))
    except ValueError as mistake:
        raise ValueError(f"argument {name}: {mistake}") from None
    if name in ("--lam", "--bias"):
        values = tuple(map(float, values))
    return values[0] if len(values) == 1 else values


def read_integer(name: str, text: str, least: int) -> int:
    from ufm.numerics.arguments import integer

    return integer(name, numbers(name, text), least)


def add_search(verb, starts: str | None) -> None:
    verb.add_argument(
        "--starts",
        default=starts,
        metavar="S",
        help="random starts" + (f" (default {starts})" if starts else " (default by size; 0: none)"),
    )
    verb.add_argument("--rng", default="0", metavar="SEED", help="seed of the starts (default 0)")
    verb.add_argument("--plot", metavar="FILE", help="write a figure (png, pdf or svg)")
    add_json(verb)


def check_plot_file(path: str | None, name: str = "--plot") -> None:
    """Refuse a plot file that could not be written, before any work."""
    if path is not None and os.path.splitext(path)[1].lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(f"argument {name}: file must end in .png, .pdf or .svg; got {path!r}.")
    check_save_file(path, name)


def check_save_file(path: str | None, name: str = "--save") -> None:
    """Refuse a file that could not be written, before any work."""
    from ufm.numerics.files import check_writable

    if path is not None:
        check_writable(path, f"argument {name}: file")

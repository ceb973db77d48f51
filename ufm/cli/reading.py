"""From words to numbers, problems and files, with the name of the argument in every refusal."""

from __future__ import annotations

import os

from ufm.cli.parser import add_json
from ufm.numerics.arithmetic import number

SETTINGS = {
    "lr": "gd: learning rate (default 0.5)",
    "momentum": "gd: momentum (default 0)",
    "batch": "gd: mini-batch size (default: all samples)",
    "steps": "gd: most steps (default 20000)",
    "time": "flow: end time (default 1e4)",
    "max-steps": "lbfgs, newton: most steps",
}


def add_problem(verb, required: bool = True) -> None:
    group = verb.add_argument_group("problem (numbers may be written 2**-10, 1e-3, 5**(1/3); lists with commas)")
    group.add_argument("-K", required=required, metavar="K", help="classes")
    group.add_argument("-n", default="1", metavar="N", help="samples per class, one number or K counts (default 1)")
    group.add_argument("-d", default=None, metavar="D", help="hidden width, one number or L widths (default K)")
    group.add_argument("-L", default="1", metavar="L", help="weight layers after the free features (default 1)")
    group.add_argument(
        "--lam", required=required, metavar="LAM", help="ridge weight, one number or L+1 ordered H_1, W_1, ..., W_L"
    )
    group.add_argument(
        "--loss", default="ce", metavar="NAME", help="ce, mse, label_smoothing(0.1), focal(2) (default ce)"
    )
    group.add_argument(
        "--activation", default="linear", metavar="NAME", help="linear, relu, leaky_relu(0.1), tanh (default linear)"
    )
    group.add_argument("--bias", default=None, metavar="B", help="weight of a last-layer bias (default: no bias)")


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


def numbers(name: str, text: str):
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

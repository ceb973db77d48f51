"""`ufm identify`: a name for an end point."""

from __future__ import annotations

from ufm.cli.parser import add_json, add_old_option, add_verb
from ufm.cli.reading import numbers
from ufm.cli.writing import print_json, say, show


def add(verbs) -> None:
    verb = add_verb(
        verbs,
        "identify",
        "name the end point of anybody's training run",
        "Name a logit matrix. FILE is an .npz with Z (K x N or K x K), or features (N x d) and weights (K x d), and"
        " labels (N) if the samples are not in equal class blocks; an .npy of Z alone; or a point saved by ufm.",
        "ufm identify end_point.npz --json",
        _identify,
    )
    verb.add_argument("file", metavar="FILE", help=".npz file of plain arrays, or .npy of Z")
    verb.add_argument(
        "--match", default="0.02", metavar="T", help="relative distance within which a name is given (default 0.02)"
    )
    add_old_option(verb, "--tol", "--match")
    add_json(verb)


def _identify(arguments) -> int:
    found = _named(arguments.file, numbers("--match", arguments.match))
    if arguments.json:
        fields = ("name", "rank", "distance", "scales", "within_class", "collapse", "members", "match")
        near = [{"name": name, "distance": distance} for name, distance in found.nearest]
        print_json({**{name: getattr(found, name) for name in fields}, "tol": found.match, "nearest": near})
    else:
        show(found)
        say("scales: " + ", ".join(f"{a:.6g}" for a in found.scales) if found.scales else "no scales")
        say("nearest: " + ", ".join(f"{name} at {distance:.3g}" for name, distance in found.nearest))
        say(
            "collapse: "
            + ", ".join(
                f"{name} {'not measured' if value is None else f'{value:.3g}'}"
                for name, value in found.collapse.items()
            )
        )
    return 0


def _named(path: str, match):
    """The Identity of what the file holds; ValueError naming the file and the array that does not fit."""
    from ufm import points
    from ufm.critical.identify import identify
    from ufm.numerics.files import load_arrays

    data = load_arrays(path, alone="Z")
    if "ufm" in data:
        return identify(points.load(path), match=match)
    if "Z" not in data and "features" not in data:
        raise ValueError(
            f"{data.where} must hold Z, or features and weights; it has {', '.join(sorted(data)) or 'nothing'}."
        )
    given = ("Z", "labels") if "Z" in data else ("features", "labels", "weights")
    try:
        return identify(**{name: data.get(name) for name in given}, match=match)
    except ValueError as error:
        raise ValueError(f"{data.where}: {error}") from None

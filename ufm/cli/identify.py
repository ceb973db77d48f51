"""`ufm identify`: a name for an end point."""

from __future__ import annotations

from ufm.cli.parser import add_json, add_verb
from ufm.cli.reading import numbers
from ufm.cli.writing import print_json, say, show


def add(verbs) -> None:
    verb = add_verb(
        verbs,
        "identify",
        "name the end point of anybody's training run",
        "Name a logit matrix. FILE is an .npz with Z (K x N or K x K), or features (N x d) and weights (K x d), and labels (N) if the "
        "samples are not in equal class blocks; or a point saved by ufm.",
        "ufm identify end_point.npz --json",
        _identify,
    )
    verb.add_argument("file", metavar="FILE", help=".npz file of plain arrays")
    verb.add_argument("--tol", default="0.02", metavar="T", help="relative distance within which a name is given (default 0.02)")
    add_json(verb)


def _identify(arguments) -> int:
    from ufm import points
    from ufm.critical.identify import identify
    from ufm.numerics.files import load_arrays

    tol = numbers("--tol", arguments.tol)
    data = load_arrays(arguments.file)
    if "ufm" in data:
        found = identify(points.load(arguments.file), tol=tol)
    elif "Z" in data:
        found = identify(data["Z"], labels=data.get("labels"), tol=tol)
    elif "features" in data:
        found = identify(features=data["features"], weights=data.get("weights"), labels=data.get("labels"), tol=tol)
    else:
        raise ValueError(f"file {arguments.file!r} must hold Z, or features and weights; it has {', '.join(sorted(data)) or 'nothing'}.")
    if arguments.json:
        fields = ("name", "rank", "distance", "scales", "within_class", "collapse", "members", "tol")
        near = [{"name": name, "distance": distance} for name, distance in found.nearest]
        print_json({**{name: getattr(found, name) for name in fields}, "nearest": near})
    else:
        show(found)
        say("scales: " + ", ".join(f"{a:.6g}" for a in found.scales) if found.scales else "no scales")
        say("nearest: " + ", ".join(f"{name} at {distance:.3g}" for name, distance in found.nearest))
        say("collapse: " + ", ".join(f"{name} {'not measured' if value is None else f'{value:.3g}'}" for name, value in found.collapse.items()))
    return 0

"""The one exception of the checkers."""


class Rejected(Exception):
    """The data do not prove the statement; the message says where."""

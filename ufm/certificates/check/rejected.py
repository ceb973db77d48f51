"""The exceptions of the checkers."""


class Rejected(Exception):
    """The data do not prove the statement; the message says where."""


class DoesNotExist(Rejected):
    """Proved: the structure has no such scale, or the problem does not admit its shape."""


class Undecided(Rejected):
    """Neither proved nor refuted at the precision allowed."""

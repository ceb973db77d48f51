"""The modules made of files in use (`ufm.use`, `--from`): `ufm.contributed.<file>_<digest of its path>`.

Nothing stands here. A process that is sent an object of a contributed class imports this module first, which takes up
the files that UFM_FROM names, and finds the class.
"""

from ufm.numerics import families

families.used()

"""The command line as a whole: what it costs to start, and how it greets."""

import subprocess
import sys


def test_the_command_line_starts_without_numpy():
    code = (
        "import sys; from ufm.cli import main; main(['compare', '--help']); sys.exit(any(m in sys.modules for m in ('numpy', 'scipy', 'matplotlib', 'cvxpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0

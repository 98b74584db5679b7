"""Runs the end-to-end tests, or those whose file names contain one of the arguments.

`cargo xtask e2e` calls this with the pinned clients and the server to test (HAKONE=path).
HAKONE_FULL=1 runs the long versions.
"""

import sys
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Timed(unittest.TextTestResult):
    """Tells how long each test took."""

    def startTest(self, test):
        self.started = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        self.stream.write(f"{time.monotonic() - self.started:6.1f} s  ")
        super().addSuccess(test)


def main():
    sys.path.insert(0, str(HERE))
    sys.stdout.reconfigure(line_buffering=True)
    wanted = sys.argv[1:]
    suite = unittest.TestSuite()
    for path in sorted(HERE.glob("test_*.py")):
        if not wanted or any(name in path.stem for name in wanted):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromName(path.stem))
    if suite.countTestCases() == 0:
        sys.exit(f"no test file's name contains {wanted}")
    runner = unittest.TextTestRunner(
        stream=sys.stdout, verbosity=2, resultclass=Timed, failfast=True)
    sys.exit(not runner.run(suite).wasSuccessful())


main()

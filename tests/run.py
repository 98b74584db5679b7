"""Runs the end-to-end tests, or those whose names (file.Class.test) contain one of the arguments.

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
        self.stream.write(f"{time.monotonic() - self.started:.1f} s ")
        super().addSuccess(test)


def tests(suite):
    """The single tests of a suite of suites."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests(item)
        else:
            yield item


def main():
    sys.path.insert(0, str(HERE))
    sys.stdout.reconfigure(line_buffering=True)
    wanted = sys.argv[1:]
    chosen = unittest.TestSuite()
    for path in sorted(HERE.glob("test_*.py")):
        for test in tests(unittest.defaultTestLoader.loadTestsFromName(path.stem)):
            if not wanted or any(name in test.id() for name in wanted):
                chosen.addTest(test)
    if chosen.countTestCases() == 0:
        sys.exit(f"no test's name contains {wanted}")
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Timed)
    sys.exit(not runner.run(chosen).wasSuccessful())


main()

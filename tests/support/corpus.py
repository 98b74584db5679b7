"""Real data: Debian's package index and word list as this machine has them."""

import functools
import subprocess

WORDS = "/usr/share/dict/american-english-huge"

RECORDS_MIN = 300_000


@functools.cache
def packages():
    """Package name to stanza, prefixed so that no name meets a word."""
    index = subprocess.run(
        ["apt-cache", "dumpavail"], stdin=subprocess.DEVNULL, capture_output=True, check=True,
    ).stdout
    stanzas = {}
    for stanza in index.split(b"\n\n"):
        for line in stanza.split(b"\n"):
            if line.startswith(b"Package: "):
                stanzas[b"package/" + line[9:]] = stanza
                break
    return stanzas


@functools.cache
def words():
    """Word to line number, prefixed likewise."""
    with open(WORDS, "rb") as file:
        lines = file.read().splitlines()
    return {b"word/" + word: b"%d" % number for number, word in enumerate(lines, 1)}


@functools.cache
def records():
    """All of it: the words, then the packages."""
    everything = words() | packages()
    assert len(everything) >= RECORDS_MIN, f"only {len(everything)} records of real data"
    return everything

"""Compare all golden records with what the code gives now, or write them: `python -m tests.golden [--write]`."""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

from tests.golden import CASES, FOLDER, differences, kind_of_machine, load, run_case, text_of


def main() -> int:
    """Return 1 where a record differs and is not written; elsewhere than where they were made, to a tolerance."""
    write = "--write" in sys.argv[1:]
    exact = write or kind_of_machine() == json.loads((FOLDER / "machine.json").read_text())
    changed = 0
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            now = run_case(name, Path(folder))
        path = FOLDER / f"{name}.jsonl"
        lines = differences(load(name), now, exact=exact) if path.exists() else ["new"]
        changed += bool(lines)
        for line in lines:
            print(f"{name}: {line[:200]}")
        if write and lines:
            path.write_text(text_of(now))
    if write:
        (FOLDER / "machine.json").write_text(json.dumps(kind_of_machine(), indent=2) + "\n")
    print(f"{changed} of {len(CASES)} golden records {'written' if write else 'differ'}")
    return int(changed > 0 and not write)


if __name__ == "__main__":
    sys.exit(main())

"""The tables of the report, compiled by a real LaTeX where there is one."""

import shutil
import subprocess

import pytest

from hetal.report.analyse.numbers import numbers_of
from hetal.report.analyse.setting import setting_of
from hetal.report.files.latex import latex
from tests.synthetic import make_run

COMPILERS = {
    "pdflatex": ("-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"),
    "tectonic": ("--untrusted",),
}
FOUND = next((name for name in COMPILERS if shutil.which(name)), None)

HOSTILE = (
    r"a_b & 50% #1 ~x^2 \ {y}",
    r"\end{tabular} \input{/etc/passwd} % & #",
    "[2ex] after a line",
    "* too",
    '$x$ <|> "quoted" `as\' -- is!?',
    "".join(map(chr, range(0xA1, 0x100))).replace("\xad", ""),
    "α-mix ≤ ∞, Ωμέγα, 中文, 🙂, naïve×2",
)
DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
\input{numbers}
\end{document}
"""


@pytest.mark.skipif(FOUND is None, reason=f"there is no {' or '.join(COMPILERS)}")
def test_tables_compile_whatever_names_are(tmp_path):
    runs = [
        make_run(label, seed, [0.5, 0.6 + 0.01 * seed], setting=setting)
        for label in (*HOSTILE, "random")
        for setting in HOSTILE[:5]
        for seed in range(2)
    ]
    settings = [setting_of(name, [run for run in runs if run.setting == name]) for name in HOSTILE[:5]]
    numbers = [n for setting in settings for n in numbers_of(setting).values()]
    (tmp_path / "paper.tex").write_text(DOCUMENT)
    error = compiled(tmp_path, latex(numbers))
    if error and compiled(tmp_path, ""):
        pytest.skip(f"{FOUND} lacks booktabs, or cannot fetch it")
    assert not error
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF-")


def compiled(folder, tables):
    """Compile a document with tables; return what is said of an error, nothing where there is none."""
    (folder / "numbers.tex").write_text(f"{tables}\n", encoding="utf-8")
    line = [FOUND, *COMPILERS[FOUND], "paper.tex"]
    done = subprocess.run(line, cwd=folder, capture_output=True, timeout=120)
    return done.returncode and (done.stdout + done.stderr).decode(errors="replace")[-2000:]

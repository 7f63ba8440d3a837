"""Bytes of linear weights against KL to bf16: llama.cpp, round to nearest, and gsic's plans.

    python3 examples/frontier/frontier.py [BUILD ...] [--tokens N] [--target NAME] [--out DIR]

BUILD is a gsic build of SmolLM2-135M in bf16 (examples/smollm2/bf16.toml, or another plan of it).
README.md says what is measured. Run with any Python 3.9 or later: it makes cache/venv, compiles
llama.cpp there (ten minutes, once), and runs itself in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import environment

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "smollm2"))  # its modules are imported by those of this folder
CACHE = HERE / "cache"
REQUIREMENTS = HERE / "requirements.txt"


def say(message: str) -> None:
    print(f"frontier: {message}", file=sys.stderr, flush=True)


def produce(builds: list[Path], tokens: int, target: str | None, out: Path) -> None:
    """Measures all rows, prints the table, and writes frontier.json and frontier.svg."""
    import measure
    import results
    import rows

    reference = measure.make_reference(tokens, target)
    found: list[results.Json] = []
    for row in rows.all_rows(builds, reference):
        kl = ", ".join(f"{name} {text['kl']['value']:.4f}" for name, text in row["texts"].items())
        say(f"{row['name']}: {row['share']:.3f} of bf16's bytes, KL {kl}")
        found.append(row)
    about = measure.describe(reference)
    out.mkdir(parents=True, exist_ok=True)
    document = json.dumps({**about, "rows": found}, indent=1)
    (out / "frontier.json").write_text(document + "\n", encoding="utf-8")
    results.chart(found, out / "frontier.svg")
    print(results.table(found))
    print("\nllama.cpp's own logits, which its rounding of activations is in, first windows: KL")
    print("\n".join(results.own_logits(found)))
    say(f"wrote {out / 'frontier.json'} and {out / 'frontier.svg'}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("builds", nargs="*", type=Path, metavar="BUILD", help="gsic build folder")
    parser.add_argument("--tokens", type=int, default=2048, help="of each text (2048)")
    parser.add_argument("--target", help="of the builds made here (default: as gsic build's)")
    parser.add_argument("--out", type=Path, default=CACHE / "result", help="where results go")
    options = parser.parse_args()
    if options.tokens < 2:
        parser.error("--tokens: nothing is predicted in fewer than 2 tokens")
    if not environment.inside():
        return environment.run_inside(CACHE / "venv", [REQUIREMENTS])
    from gsic import GsicFailed
    from measure import Stop
    from llamacpp import LlamaCppFailed

    try:
        builds = [build.resolve() for build in options.builds]
        produce(builds, options.tokens, options.target, options.out)
    except (GsicFailed, LlamaCppFailed, Stop) as stop:
        say(str(stop))
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""sympy's verdict on graded MATH predictions; scripts/check-math calls it."""

import json
import signal
import sys

from sympy import simplify
from sympy.parsing.latex import parse_latex


class Slow(Exception):
    pass


def raise_slow(*_):
    raise Slow


def equal(answer, gold):
    signal.alarm(5)
    try:
        return bool(simplify(parse_latex(answer) - parse_latex(gold)) == 0)
    except Exception:  # sympy raises all kinds, and what it cannot read is wrong
        return False
    finally:
        signal.alarm(0)


def main():
    signal.signal(signal.SIGALRM, raise_slow)
    with open(sys.argv[2], encoding="utf-8") as file:
        golds = [json.loads(line)["gold"] if line.strip() else None for line in file]
    ours = theirs = count = 0
    with open(sys.argv[1], encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            score = json.loads(line)
            if score["index"] >= len(golds) or golds[score["index"]] is None:
                sys.exit(f"check-math: {sys.argv[1]}: line {number}: index {score['index']} is no "
                         f"line of {sys.argv[2]}; give the files of one grading")
            answer = score["extracted"]
            verdict = answer is not None and equal(answer, golds[score["index"]])
            score["score_sympy"] = int(verdict)
            print(json.dumps(score, ensure_ascii=False))
            ours += score["score"]
            theirs += verdict
            count += 1
    if count:
        print(f"{count} predictions: etd {ours / count:.4f}, sympy {theirs / count:.4f}",
              file=sys.stderr)


main()

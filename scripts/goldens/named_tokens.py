"""Goldens of added tokens: hostile ones in a tokenizer.json, and those that only files beside it name.

    pip install tokenizers==0.23.3 transformers==5.23.0
    python scripts/goldens/named_tokens.py

Writes Tests/Goldens/tokenizers/hostile.json (ids by Hugging Face's `tokenizers`) and beside.json (ids and
special tokens by transformers). Needs Tests/Goldens/tokenizers/families.json for SentencePiece's character
map. Where `tokenizers` panics or takes all memory there is no golden: null stands there, and only that nothing traps is tested.
"""

import sys

sys.path = [p for p in sys.path if not p.rstrip("/").endswith("scripts/goldens")]  # not our tokenizers.py

import json
import os
import random
import resource
import tempfile
from pathlib import Path

os.environ["RUST_BACKTRACE"] = "0"

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

OUT = Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "tokenizers"


def dump(name, value):
    path = OUT / name
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


def model(letters, merges, **options):
    vocab = ["<unk>"] + list(letters)
    for m in merges:
        vocab.append("".join(m))
    return {
        "type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
        "vocab": {t: i for i, t in enumerate(dict.fromkeys(vocab))}, "merges": merges} | options


def root(model, **parts):
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model} | parts


def token(content, number, **flags):
    return {
        "id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
        "normalized": False, "special": False} | flags


def encode(tokenizer, text):
    """The ids, or None where the library panics."""
    try:
        return tokenizer.encode(text, add_special_tokens=False).ids
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None


def encode_apart(tokenizer, text):
    """The same in a process of its own: with a token of which nothing is left the library takes all memory
    on some texts."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (256 << 20), resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        os.write(writer, json.dumps(encode(tokenizer, text)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return json.loads(found) if found else None


def case(file, texts):
    t = Tokenizer.from_str(json.dumps(file))
    is_empty = any(
        x["normalized"] and t.normalizer and not t.normalizer.normalize_str(x["content"])
        for x in file["added_tokens"])
    way = encode_apart if is_empty else encode
    return {"tokenizer": file, "texts": texts, "ids": [way(t, x) for x in texts]}


# ---------------------------------------------------------------------------------------------------
# Added tokens that take white space, that lie in what others took, and of which nothing is left

WORDS = model("abcxz \u2581\u00e9\n", [("a", "b"), ("ab", "c"), ("\u2581", "a"), ("z", "z")])
STRIP = {"type": "Strip", "strip_left": True, "strip_right": True}
DROP = {"type": "Replace", "pattern": {"String": "x"}, "content": ""}
UNDERSCORES = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
SPACED = [
    "<|x|> z", "<|x|>  z", "<|x|>   z", "<|x|>     z", "<|x|>      z", "<|x|>", "<|x|>  ", "<|x|>     ",
    "  <|x|>  <|x|>  ", "a  <|x|>    <|x|>  z   ", "<|x|>  <|x|>", "abc  abc", " ", "  ", "   ", "    ", "", "abc",
    "zz  c", "zz zz", "  zz  zz", "\u00e9 abc", "<|x|> \n  z", "<|x|>\u00a0\u2003 z", "xabcx", "x", " x ", "a x b",
    "xx  xx", "\u00e9x\u00e9", "x<|x|>x  x",
]

CUT = [
    "abc abc", "  abc", "zabczz", "b", "a  b c", "zz  c", "zz zz", "  zz  zz", " a", "a ", "  ", "zz", "zzz ab",
    "abab  zz", "", "\u00e9a",
]


def flags(r):
    return {k: r.random() < 0.4 for k in ("lstrip", "rstrip", "single_word", "normalized", "special")}


def space_cases():
    r = random.Random(11)
    cases = []
    # The kinds by themselves: every pair of sides of a token and of white space behind it.
    for left in (False, True):
        for right in (False, True):
            for first in ("rstrip", "lstrip"):
                cases.append(case(root(WORDS, added_tokens=[
                    token("<|x|>", 20, special=True, **{first: True}),
                    token("  ", 21, lstrip=left, rstrip=right)]), SPACED))
            for normalizer, content in ((STRIP, "  "), (DROP, "x"), (DROP, "xx")):
                for single in (False, True):
                    cases.append(case(root(WORDS, normalizer=normalizer, added_tokens=[
                        token(content, 20, normalized=True, lstrip=left, rstrip=right, single_word=single),
                        token("zz", 21, normalized=True)]), CUT))
    contents = ["<|x|>", "  ", " ", "   ", "zz", "abc", " a", "a ", "\n", "\u00e9", "x", "\u2581\u2581", "xx", " \n"]
    while len(cases) < 120:
        normalizer = r.choice([None, None, STRIP, DROP, UNDERSCORES])
        tokens = [token(c, 20 + i, **flags(r)) for i, c in enumerate(r.sample(contents, r.randint(1, 5)))]
        # Which of two tokens with the same normalized text is found changes from run to run; tokens of
        # which nothing is left are slow to ask about, and above.
        t = Tokenizer.from_str(json.dumps(root(WORDS, normalizer=normalizer)))
        found = [t.normalizer.normalize_str(x["content"]) if normalizer and x["normalized"] else x["content"]
                 for x in tokens if x["normalized"]]
        if len(set(found)) < len(found) or "" in found:
            continue
        texts = SPACED[:]
        for _ in range(40):
            texts.append("".join(r.choice(contents + [" ", "a", "b", "z"]) for _ in range(r.randint(1, 9))))
        cases.append(case(root(WORDS, normalizer=normalizer, added_tokens=tokens), texts))
    return cases


# ---------------------------------------------------------------------------------------------------
# The first word, behind normalizers that make several characters of one

LETTERS = model(
    "abcdefghijklmnopqrstuvwxyzAI0123456789 \u2581.,!/\u2044\u0301\u0308\u0323\u030a\u00e9\u00c5\u0307\u0131()_"
    "\u0120\u010a\u00e2\u00bd\u00ef\u00ac\u0122",
    [])
EXPANDING = [
    "\u00bda", "\u00bd", "\u00bd\u0301", "\ufb01ne", "\ufb03", "\ufb01\u0301x", "\u2026a", "\u2460b", "\u00a8a",
    "\u00a8\u0323", "\u0130x", "\u212b", "A\u030a", "A\u0301\u0323", "\u0344\u0323x", "\u0344", "\ufb00\u00bd",
    "\u33c2 a", "\u200bx", "\u200b\u200b1x", " \u00bd", "  \u00bd a", "<s>\u00bd", "\u00bd<s>1", "\u01c4a", "12ab",
    "\u00e91", "\u00e9\u0323", "a\u00bd", "\uff11\uff12", "\u1e9b\u0323a", "\u0301\u0301a", "\u00ad\u00bd", "x", "xa",
    "x\u00bd", "\u00bd x", "1\u20442", "\u00bd1\u20442", "a 1\u20442", "\u3000\u00bd", "\t\u00bd", "ab\u00bd", "abc ab",
    "\U0001f600a", "\u1112\u1161\u11aba", "\u00df1", "", " ", "\u0085a", "\u24d0\u24d1", "\u3392", "(a)\u2474",
]


def kinds():
    forms = [{"type": f} for f in ("NFC", "NFD", "NFKC", "NFKD")]
    families = json.loads((OUT / "families.json").read_text())["cases"]
    t5 = next(c for c in families if c["name"] == "xlm-roberta")["components"]["normalizer"]
    assert t5["type"] == "Precompiled"

    def regex(pattern, content):
        return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}

    def sequence(*steps):
        return {"type": "Sequence", "normalizers": list(steps)}

    lower, accents = {"type": "Lowercase"}, {"type": "StripAccents"}
    prepend = {"type": "Prepend", "prepend": "_1"}
    normalizers = forms + [
        t5, lower, accents, STRIP, prepend, DROP, {"type": "Nmt"}, {"type": "ByteLevel"},
        {"type": "Replace", "pattern": {"String": "x"}, "content": "a1b"}, regex("^", "1a"), regex("[ab]", ""),
        regex("a|\u00bd", "1.2"), regex("\\s*", "."), sequence(forms[2], lower), sequence(forms[3], accents),
        sequence(forms[2], STRIP), sequence(prepend, forms[2]), sequence(forms[2], prepend),
        sequence(lower, forms[0]), sequence(t5, forms[2]), sequence({"type": "Nmt"}, forms[2], STRIP),
        sequence(forms[2], regex("[0-9]", "..")), sequence(forms[2], regex("^1", "")),
        sequence(forms[3], {"type": "ByteLevel"}), sequence(DROP, forms[2]),
    ]

    def metaspace(split=True, scheme="first"):
        return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}

    def both(*steps):
        return {"type": "Sequence", "pretokenizers": list(steps)}

    digits = {"type": "Digits", "individual_digits": True}
    single = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}
    pre_tokenizers = [
        metaspace(), metaspace(False), both(digits, metaspace()),
        both({"type": "Punctuation", "behavior": "Isolated"}, metaspace(False)), both(single, metaspace()),
        both({"type": "Whitespace"}, metaspace()), both({"type": "WhitespaceSplit"}, metaspace()),
        both(metaspace(False, "always"), digits, metaspace()),
        both(single, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False},
             single, metaspace()),
    ]
    return normalizers, pre_tokenizers


def first_cases():
    normalizers, pre_tokenizers = kinds()
    added = [token("<s>", 90, special=True), token("2", 91, normalized=True), token("ab", 92, normalized=True)]
    cases = []
    for normalizer in normalizers:
        for index, pre_tokenizer in enumerate(pre_tokenizers):
            # `tokenizers` doubles what such a replacement puts before the text, where ByteLevel rewrites it.
            puts = json.dumps(normalizer.get("pattern"))
            if puts in ('{"Regex": "^"}', json.dumps({"Regex": "\\s*"})) and "ByteLevel" in str(pre_tokenizer):
                continue
            tokens = added[:1] if index % 2 else added
            cases.append(case(
                root(LETTERS, normalizer=normalizer, pre_tokenizer=pre_tokenizer, added_tokens=tokens),
                EXPANDING))
    return cases


def write_hostile():
    groups = {"spaces": space_cases(), "first": first_cases()}
    for name, cases in groups.items():
        lists = [i for c in cases for i in c["ids"]]
        print(f"  {name}: {len(cases)} tokenizers, {len(lists)} texts, {lists.count(None)} panics")
        shared = cases[0]["tokenizer"]["model"]
        for c in cases:
            assert c["tokenizer"]["model"] == shared
            del c["tokenizer"]["model"]
        texts = list(dict.fromkeys(x for c in cases for x in c["texts"]))
        place = {x: i for i, x in enumerate(texts)}
        for c in cases:
            c["texts"] = [place[x] for x in c["texts"]]
        groups[name] = {"model": shared, "texts": texts, "cases": cases}
    dump("hostile.json", groups)


# ---------------------------------------------------------------------------------------------------
# Files beside tokenizer.json

SMALL = model("abcdefg h", [("a", "b")])
OWN = [token("<unk>", 0, special=True), token("<s>", 11, special=True), token("</s>", 12, special=True)]
NAMED = ["a<pad>b", "a <pad> b", "<s>a</s>", "a<extra>b<more>", "<mask> a <mask>", "ab<img>ab", "<unk>d h"]


def without_id(token, **flags):
    return {k: v for k, v in (token | flags).items() if k != "id"}


def typed(token, **flags):
    return without_id(token, **flags) | {"__type": "AddedToken"}


def directories():
    """(name, files); ids that are declared follow one another, as in what transformers writes."""
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    own_decoder = {str(t["id"]): without_id(t) for t in OWN}
    config = {"model_type": "llama", "bos_token_id": 11, "eos_token_id": 12}
    pad, extra, more = token("<pad>", 13, special=True), token("<extra>", 14), token("<more>", 15, lstrip=True)
    mask = token("<mask>", 13, lstrip=True, rstrip=True)
    cases = [
        ("nothing", {}, OWN),
        ("decoder", {"tokenizer_config.json": names | {"added_tokens_decoder": own_decoder | {
            "13": without_id(pad), "14": without_id(extra), "15": without_id(more)}}}, OWN),
        ("decoder out of order", {"tokenizer_config.json": names | {"added_tokens_decoder": {
            "15": without_id(more), "13": without_id(pad), "14": without_id(extra)}}}, OWN),
        ("decoder changes settings", {"tokenizer_config.json": names | {"added_tokens_decoder": {
            "11": without_id(OWN[1], lstrip=True, rstrip=True), "0": without_id(OWN[0], normalized=True)}}}, OWN),
        ("decoder names a token of the model", {"tokenizer_config.json": names | {"added_tokens_decoder": {
            "10": {"content": "ab", "special": True}}}}, OWN),
        ("decoder without settings", {"tokenizer_config.json": {"added_tokens_decoder": {
            "13": {"content": "<pad>"}, "14": {"content": "<extra>", "special": True}}}}, OWN),
        ("pad by name", {"tokenizer_config.json": names | {"pad_token": "<pad>"}}, OWN),
        ("names in another order", {"tokenizer_config.json": {
            "image_token": "<img>", "mask_token": "<mask>", "pad_token": "<pad>", "eos_token": "</s>",
            "bos_token": "<s>"}}, OWN),
        ("mask with settings", {"tokenizer_config.json": names | {"mask_token": typed(mask)}}, OWN),
        ("name of a token of the model", {"tokenizer_config.json": names | {"pad_token": "ab"}}, OWN),
        ("extra list", {"tokenizer_config.json": names | {"extra_special_tokens": ["<extra>", "<more>"]}}, OWN),
        ("extra by name", {"tokenizer_config.json": names | {"extra_special_tokens": {
            "one_token": "<extra>", "other": "<more>"}}}, OWN),
        ("additional", {"tokenizer_config.json": names | {"additional_special_tokens": [
            "<extra>", typed(more)]}}, OWN),
        ("additional beside extra", {"tokenizer_config.json": names | {
            "additional_special_tokens": ["<pad>"], "extra_special_tokens": ["<extra>"]}}, OWN),
        ("special_tokens_map", {"special_tokens_map.json": names | {"pad_token": without_id(pad, lstrip=True)}}, OWN),
        ("map with other names", {"special_tokens_map.json": {
            "pad_token": "<pad>", "additional_special_tokens": ["<extra>"], "bos_token": "</s>"},
            "tokenizer_config.json": names}, OWN),
        ("map beside a decoder", {"special_tokens_map.json": {"pad_token": "<pad>"},
            "tokenizer_config.json": names | {"added_tokens_decoder": own_decoder}}, OWN),
        ("added_tokens", {"added_tokens.json": {"<extra>": 14, "<pad>": 13},
            "tokenizer_config.json": names | {"pad_token": "<pad>"}}, OWN),
        ("added_tokens with an id of the file's", {"added_tokens.json": {"<extra>": 12, "<pad>": 13},
            "tokenizer_config.json": names}, OWN),
        ("added_tokens alone", {"added_tokens.json": {"<extra>": 13}}, OWN),
        ("added_tokens beside a decoder", {"added_tokens.json": {"<extra>": 13},
            "tokenizer_config.json": names | {"added_tokens_decoder": own_decoder}}, OWN),
        ("no tokens of its own", {"tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>"}}, []),
        ("own token made special by its name", {"tokenizer_config.json": {"eos_token": "<extra>"}},
            OWN + [token("<extra>", 13)]),
        ("BOS null", {"tokenizer_config.json": {"bos_token": None, "eos_token": "</s>"}, "config.json": config}, OWN),
        ("BOS null beside a map", {"tokenizer_config.json": {"bos_token": None},
            "special_tokens_map.json": {"bos_token": "<s>", "eos_token": None}, "config.json": config}, OWN),
        ("both null", {"tokenizer_config.json": {"bos_token": None, "eos_token": None}, "config.json": config}, OWN),
        ("BOS with settings", {"tokenizer_config.json": {"bos_token": typed(OWN[1]), "eos_token": "<pad>"}}, OWN),
        ("add_bos_token plays no part", {"tokenizer_config.json": names | {"add_bos_token": True}}, OWN),
    ]
    padding = {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
               "pad_type_id": 0, "pad_token": "<pad>"}
    return [(n, f, root(SMALL, added_tokens=o)) for n, f, o in cases] + [
        ("padding", {"tokenizer_config.json": names}, root(SMALL, added_tokens=OWN, padding=padding)),
        ("padding and a name", {"tokenizer_config.json": names | {"pad_token": "<extra>"}},
            root(SMALL, added_tokens=OWN, padding=padding)),
    ]


def write_beside():
    cases = []
    for name, files, tokenizer in directories():
        with tempfile.TemporaryDirectory() as folder:
            for file, content in (files | {"tokenizer.json": tokenizer}).items():
                Path(folder, file).write_text(json.dumps(content))
            if "config.json" not in files:
                Path(folder, "config.json").write_text(json.dumps({"model_type": "llama"}))
            t = PreTrainedTokenizerFast.from_pretrained(folder)
            ids = [t.encode(x, add_special_tokens=False) for x in NAMED]
            skipped = [t.backend_tokenizer.decode(i, skip_special_tokens=True) for i in ids]
            cases.append({
                "name": name, "files": files | {"tokenizer.json": tokenizer}, "ids": ids, "skipped": skipped,
                "bos": t.bos_token_id, "eos": t.eos_token_id})
    dump("beside.json", {"texts": NAMED, "cases": cases})
    print(f"  {len(cases)} directories")


if __name__ == "__main__":
    write_hostile()
    write_beside()

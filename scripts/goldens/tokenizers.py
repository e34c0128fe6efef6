"""Goldens of the tokenizers: ids and decoded text, from Hugging Face's `tokenizers`.

    pip install tokenizers==0.23.3 gguf==0.19.0 sentencepiece==0.2.3
    python scripts/goldens/tokenizers.py [--families] [--dolma2 FILE.json.gz] [--models DIRECTORY]

Writes Tests/Goldens/tokenizers. The small tokenizers are trained here, on the hostile corpus and on
words written below. With --dolma2 also OLMo-2's, and with --models also the GGUF vocabularies of
smollm2-135m-instruct.gguf and gemma-3-270m.gguf, for which only ids are written.

For GGUF vocabularies the oracle is a `tokenizers` object with llama.cpp's pre-tokenizer written out,
not transformers' conversion, which drops SmolLM's digit splitting.
"""

import sys

sys.path = [p for p in sys.path if not p.rstrip("/").endswith("scripts/goldens")]  # not this file

import argparse
import gzip
import json
import math
import random
from pathlib import Path

from tokenizers import (
    AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
    trainers,
)

OUT = Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "tokenizers"

# ---------------------------------------------------------------------------------------------------
# The corpus

PROSE = [
    "",
    " ",
    "a",
    "Hello world",
    " Hello  world ",
    "The quick brown fox jumps over the lazy dog, doesn't it? I'd say they'll do; we've SEEN'EM.",
    "DON'T can'T I'M we'RE you'Ve he'Ll SHE'D it'\u017f o'\u212a",
    "\n\nparagraph\n\n\n  indented\n\t\ttabs\r\nwindows\r\n\r\nold mac\rend \n",
    "trailing spaces   \n   leading   ",
    "x  \n  \n   y \t \n z",
    "3.14159 1234567890 12,345,678.90 0x1F 1e-10 v1.2.3 2026-11-23T22:41:38Z",
    "a1b22c333d4444e55555 1 12 123 1234 12345",
    "def f(x: int) -> int:\n    return x ** 2  # square\n\n\nclass A(B):\n\tpass\n",
    "#include <stdio.h>\r\nint main(void){printf(\"%d\\n\", 0x7f);return 0;}\r\n",
    "<html><body class=\"x\">&amp;</body></html> https://example.org/a?b=c&d=%20#e",
    "{\"key\": [1, 2.5, null], \"\u00fc\": \"\\u00fc\"}",
    "email@example.org |||EMAIL_ADDRESS||| $100 \u20ac50 \u00a310 50% #1 @you ^_^ `code` ~ \\ /",
]
UNICODE = [
    "caf\u00e9 cafe\u0301 \u00c5 A\u030a \u212b n\u0303\u0301\u0323 \u1e9b\u0323 q\u0307\u0323",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034dA\u036b\u0357\u0334\u0362",
    "e\u0301" * 40,
    "\u0301leading mark \u0301\u0301 \u20dd\u0488",
    "new marks \u09e5\u09fe\u0336\u036a a\u0316\u1df6\u0334\u0301 e\u0898\u0323\u0301 \u1100\u1161\u11a8",
    "\U0001f600\U0001f469\u200d\U0001f680\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 1\ufe0f\u20e3 \u2764\ufe0f",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u0661\u0662\u0663 \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd \u202eoverride\u202c \u200fmark\u200e",
    "\u0967\u0968\u0969 \u0e51\u0e52\u0e53 \uff11\uff12\uff13 \u2160\u2161\u216b \u00bd\u00b2\u00b3\u2074 \u2460\u3220 \U0001d7ce\U0001d7cf \U00010107 \u0be7\u0bf0",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u3053\u3093\u306b\u3061\u306f\u30c6\u30b9\u30c8\u3002\uc548\ub155 \u1112\u1161\u11ab\u1100\u1173\u11af \uac00\u11a8 \u20000\U00020000\U0002f800",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5 \u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0 \u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u00df\u1e9e\ufb01\ufb03\u0130\u0131\u01c5\u01f0 \u017f \u2126 \u03c2\u03a3 STRASSE \u01c4\u01c6",
    "\u00a0nbsp\u00a0 \u2003em\u2003\u2009thin \u3000ideographic\u3000 \u1680ogham \u0085nel \u2028line\u2029para \u202f\u205f",
    "\u200bzero\u200bwidth\u200c\u200d\u2060\ufeffbom \u00adsoft \u180e \u034f",
    "\x00nul\x00\x00 \x01\x02\x03\x1b[31mred\x1b[0m \x7f \x80\x9f\x0b\x0c\x1c\x1d\x1e\x1f",
    "\ue000\uf8ff\U000f0000\U0010fffd private \ufffd\ufffd replacement \ufffe\uffff \ud7ff\ue000 \U0001ffff\U0010ffff",
    "\u0378\u0530\U000e0001\U000e0020 unassigned \U000105c0\U00016d40\U0001ccf0 new",
    "\u2581under\u2581\u2581score \u2581 <0x0A> <0x41><0xZZ> \u0120the\u010a \u00e2\u0142\u0123",
    "\u201cquoted\u201d \u2018it\u2019s\u2019 \u2014dash\u2013 \u2026 \u00bfqu\u00e9? \u00a1s\u00ed! \u3010\u3011 \u00b5 \u2211\u222b\u221a\u00b1 a\u2260b",
    "mixed\u0441\u0443rillic \u03b1\u0431c \u0661a\u0967 \u4f60A\u0301\u597d1\U0001f600z",
]
SPECIAL = [
    "<|endoftext|>",
    "<|endoftext|><|endoftext|> <|endoftext|>\n",
    "a<|endoftext|>b <|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "<|endoftext <|endoftext| |endoftext|> <<|endoftext|>> <|ENDOFTEXT|> <|end\u200boftext|>",
    "<s>hello</s> <s> hello </s><s></s> <unk> <pad><bos><eos> <start_of_turn>user\nhi<end_of_turn>",
    "<mask> word<mask>word  <mask>  x<mask>y [MASK]z [MASK] z[MASK] \u00e9[MASK]",
    "[multimodal]<unused0><unused17><start_of_image>\n\n\n<table><tr>\t\t</tr></table>",
    "  new  line \u00c5ngstr\u00f6m A\u030angstr\u00f6m spe\u0301cial sp\u00e9cial abcabcabd abc ab",
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\ncut <|eot_id|>",
]
RUNS = [
    " " * 7, " " * 100 + "x", "\n" * 50, "\n" * 3 + " " * 5 + "\n" * 2, "\t" * 33, "\r\n" * 20,
    "a" * 1000, "ab" * 300, "aba" * 100, "=" * 200, "!?" * 60, "1" * 200, "\u00e9" * 100,
    "\u4f60" * 100, "\U0001f600" * 50, "\u2581" * 20, " a" * 100, "a \n" * 50, "-" * 37 + ">" * 5,
    "'" * 20 + "s", "\x00" * 30, "\u200d" * 30, "\u3000" * 20,
]
WORDS = (
    "the of and to in is that for it as with on be at by this had not are but from or have an they "
    "which one you were her all she there would their we him been has when who will more no if out "
    "so said what up its about into than them can only other new some could time these two may then "
    "do first any my now such like our over man me even most made after also did many before must "
    "through back years where much your way well down should because each just those people how too "
    "little state good very make world still own see men work long get here between both life being "
    "number seven eleven twelve minus plus equals answer question therefore reason"
).split()


def noise(seed, count):
    """Scalars thrown together without sense."""
    r = random.Random(seed)
    pools = [
        (0x20, 0x7F), (0x0, 0x20), (0x80, 0x250), (0x300, 0x370), (0x370, 0x600), (0x600, 0x700),
        (0x900, 0xA00), (0x1100, 0x1200), (0x2000, 0x2070), (0x3000, 0x3100), (0xAC00, 0xAD00),
        (0x1F300, 0x1F700), (0x10000, 0x10FFFF),
    ]
    texts = []
    for _ in range(count):
        out = []
        while len(out) < r.randint(1, 60):
            low, high = r.choice(pools)
            for _ in range(r.randint(1, 4)):
                c = r.randrange(low, high)
                if not 0xD800 <= c < 0xE000:
                    out.append(chr(c))
            if r.random() < 0.3:
                out.append(r.choice([" ", "  ", "\n", "'s", "1", "<s>", "\u2581", "<|endoftext|>"]))
        texts.append("".join(out))
    return texts


def prose(seed, count):
    r = random.Random(seed)
    return [" ".join(r.choice(WORDS) for _ in range(r.randint(5, 30))) + "." for _ in range(count)]


CORPUS = PROSE + UNICODE + SPECIAL + RUNS + prose(1, 6) + noise(2, 40)
TRAINING = PROSE + UNICODE + RUNS[8:20] + prose(3, 300)

# ---------------------------------------------------------------------------------------------------
# Writing


def dump(name, value):
    path = OUT / name
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


def plain(tokenizer):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def golden(tokenizer, seed=5, corpus=CORPUS):
    """What a tokenizer makes of the corpus, and of ids thrown together."""
    plain(tokenizer)
    ids = [tokenizer.encode(t, add_special_tokens=False).ids for t in corpus]
    empty = tokenizer.encode("", add_special_tokens=True).ids
    for text, found in zip(corpus, ids):
        whole = tokenizer.encode(text, add_special_tokens=True).ids
        assert not empty or [i for i in whole if i not in empty] == [i for i in found if i not in empty]
    # A text that decodes to itself is written as null.
    decoded = [tokenizer.decode(i, skip_special_tokens=False) for i in ids]
    skipped = [tokenizer.decode(i, skip_special_tokens=True) for i in ids]
    r = random.Random(seed)
    size = tokenizer.get_vocab_size()
    lists = [[r.randrange(size) for _ in range(r.randint(1, 12))] for _ in range(60)]
    lists += [[r.randrange(min(size, 600)) for _ in range(r.randint(1, 12))] for _ in range(60)]
    lists += [[], [size + 1000], [0, size + 5, 1]]
    return {
        "vocabulary_size": max(tokenizer.get_vocab().values()) + 1,
        "with_special_tokens": tokenizer.encode("a b", add_special_tokens=True).ids,
        "ids": ids,
        "decoded": [None if d == t else d for t, d in zip(corpus, decoded)],
        "decoded_skipping": [None if s == d else s for d, s in zip(decoded, skipped)],
        "lists": lists,
        "lists_decoded": [tokenizer.decode(i, skip_special_tokens=False) for i in lists],
        "lists_decoded_skipping": [tokenizer.decode(i, skip_special_tokens=True) for i in lists],
    }


def write(name, tokenizer):
    plain(tokenizer)
    (OUT / f"{name}.tokenizer.json").write_text(
        json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=True, separators=(",", ":")) + "\n")
    dump(f"{name}.golden.json", golden(tokenizer))


# ---------------------------------------------------------------------------------------------------
# Small tokenizers

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def byte_level_trainer(size, special):
    return trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))


def smollm_style():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(
        TRAINING, byte_level_trainer(900, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]))
    return t


def llama3_style():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TRAINING, byte_level_trainer(900, []))
    t.add_special_tokens(
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"])
    bos = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B:1",
            special_tokens=[("<|begin_of_text|>", bos)])])
    return t


def sentencepiece_style(size, normalizer, pre_tokenizer, special, bytes_too=True, **options):
    """A vocabulary as SentencePiece writes it: specials, bytes, then pieces."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizer
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    trained.train_from_iterator(
        prose(3, 300) + PROSE[3:8],
        trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=[]))
    model = json.loads(trained.to_str())["model"]
    names = special + ([f"<0x{b:02X}>" for b in range(256)] if bytes_too else [])
    names += [p for p, _ in sorted(model["vocab"].items(), key=lambda x: x[1]) if p not in names]
    t = Tokenizer(models.BPE(
        vocab={n: i for i, n in enumerate(names)}, merges=[tuple(m) for m in model["merges"]],
        **options))
    t.normalizer = normalizer
    if pre_tokenizer is not None:
        t.pre_tokenizer = pre_tokenizer
    return t


def llama2_style():
    t = sentencepiece_style(
        600, normalizers.Sequence([
            normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]),
        None, ["<unk>", "<s>", "</s>"], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    t.decoder = decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
        decoders.Strip(" ", 1, 0)])
    t.add_special_tokens(["<unk>", "<s>", "</s>"])
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A <s> $B", special_tokens=[("<s>", 1), ("</s>", 2)])
    return t


def gemma_style():
    t = sentencepiece_style(
        600, normalizers.Replace(" ", "\u2581"),
        pre_tokenizers.Split(" ", "merged_with_previous"),
        ["<pad>", "<eos>", "<bos>", "<unk>"], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    t.decoder = decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"])
    t.add_tokens([AddedToken("\n" * n, normalized=False) for n in range(2, 6)])
    t.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", 2)])
    return t


def metaspace_style():
    t = sentencepiece_style(
        500, None, pre_tokenizers.Metaspace(prepend_scheme="first", split=True),
        ["<unk>", "<s>"], bytes_too=False, unk_token="<unk>")
    t.decoder = decoders.Metaspace(prepend_scheme="first")
    t.add_special_tokens(["<s>"])
    return t


def composed_style():
    """NFC, and added tokens of every kind."""
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TRAINING, byte_level_trainer(700, []))
    t.add_special_tokens([
        AddedToken("<mask>", lstrip=True, special=True),
        AddedToken("</s>", rstrip=True, special=True), AddedToken("<s>", special=True)])
    t.add_tokens([
        AddedToken("[MASK]", single_word=True, normalized=False),
        AddedToken("A\u030angstr\u00f6m", normalized=True),
        AddedToken("spe\u0301cial", normalized=False), AddedToken("abcabd"), AddedToken("abc"),
        AddedToken("ab", single_word=True), AddedToken("  new", normalized=False)])
    t.post_processor = processors.RobertaProcessing(
        ("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")))
    return t


# ---------------------------------------------------------------------------------------------------
# Components, on a model whose ids show where words end

BOUNDARY_TEXTS = [t for t in PROSE + UNICODE + SPECIAL + RUNS if len(t) < 130] + noise(7, 10)

PATTERNS = [
    LLAMA3, GPT2, r"\p{N}{1,3}", r"\s+", r"\S+", r"\w+|[^\w\s]+", r"\d", r"[^\S\r\n]+", r"(?i:the|ß)",
    r"(?<=\p{L})(?=\p{Lu})", r"^.|.$", r"[\]\-a-c]+", r"[[a-m]&&[^aeiou]]+", r"a*?b|x{2,}", r"(?m:a.b)",
    r"\p{Ll}++\.?|\h{2}", r"[\x{4E00}-\x{9FA5}\u3040-\u30FF]+", r"\b\w|\w\B", r"[^\p{^L}]+", r"\p{Han}+",
    r"'(?:[sdmt]|ll|ve|re)| ?[\p{P}\p{S}]+", r"[!-/:-@\[-`{-~]",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]


def component_cases():
    P, N = pre_tokenizers, normalizers
    cases = []
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    for behavior in behaviors:
        for invert in (False, True):
            cases.append((None, P.Split(Regex(r"\p{L}|\s"), behavior, invert)))
            cases.append((None, P.Split(" ", behavior, invert)))
        cases.append((None, P.Punctuation(behavior)))
    cases += [(None, P.Split(Regex(p), "isolated")) for p in PATTERNS]
    cases += [
        (None, P.Digits(individual_digits=False)), (None, P.Digits(individual_digits=True)),
        (None, P.Whitespace()), (None, P.WhitespaceSplit()), (None, P.ByteLevel(True)),
        (None, P.ByteLevel(False)), (None, P.ByteLevel(True, use_regex=False)),
        (None, P.Sequence([P.ByteLevel(False), P.Split("\u0120", "merged_with_next")])),
        (None, P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="first")])),
        (N.NFC(), None), (N.NFD(), None), (N.NFKC(), None), (N.NFKD(), None), (N.Lowercase(), None),
        (N.Strip(), P.Metaspace(prepend_scheme="first")),
        (N.Strip(left=False, right=True), None), (N.Strip(left=True, right=False), None),
        (N.Prepend("\u2581"), None), (N.Replace(Regex(r"\s+"), "_"), None),
        (N.Replace(Regex(r"^ *"), ""), P.Metaspace(prepend_scheme="first")),
        (N.Replace("a", "\u00e4"), P.Metaspace(prepend_scheme="first")),
        (N.Sequence([N.NFD(), N.Replace(Regex(r"\p{M}"), ""), N.Lowercase()]), P.WhitespaceSplit()),
    ]
    for scheme in ("always", "never", "first"):
        for split in (True, False):
            cases.append((None, P.Metaspace(prepend_scheme=scheme, split=split)))
    return cases


def boundaries():
    characters = sorted(set(pre_tokenizers.ByteLevel.alphabet()) | {chr(c) for c in range(128)} | {"\u2581"})
    names = [f"<0x{b:02X}>" for b in range(256)]
    names += characters + [c + "|" for c in characters]
    return Tokenizer(models.BPE(
        vocab={n: i for i, n in enumerate(dict.fromkeys(names))}, merges=[], byte_fallback=True,
        end_of_word_suffix="|"))


def write_components():
    base = boundaries()
    cases = []
    for normalizer, pre_tokenizer in component_cases():
        t = Tokenizer.from_str(base.to_str())
        t.add_special_tokens(["<s>"])
        if normalizer is not None:
            t.normalizer = normalizer
        if pre_tokenizer is not None:
            t.pre_tokenizer = pre_tokenizer
        root = json.loads(t.to_str())
        cases.append({
            "normalizer": root["normalizer"], "pre_tokenizer": root["pre_tokenizer"],
            # Only where words end, and what the characters are, in one number a text.
            "digests": [digest(t.encode(x, add_special_tokens=False).ids) for x in BOUNDARY_TEXTS]})
        last = root
    last["normalizer"] = last["pre_tokenizer"] = None
    dump("components.json", {"tokenizer": last, "texts": BOUNDARY_TEXTS, "cases": cases})


def digest(ids):
    """FNV-1a over the ids, its upper half; the test computes the same."""
    h = 0xCBF29CE484222325
    for i in ids:
        h = ((h ^ i) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h >> 32


# ---------------------------------------------------------------------------------------------------
# GGUF vocabularies

CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+"
    r"|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+" + CONTRACTIONS + "?"
    r"|[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))+((?=[\p{L}])([^A-Z]))*" + CONTRACTIONS + "?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# llama.cpp's table, one name of each kind: (patterns, ignore_merges, adds BOS).
PRE = {
    "default": ([r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"], False, False),
    "gpt-2": ([GPT2], False, False),
    "olmo": ([GPT2], False, False),
    "smollm": ([r"\p{N}", GPT2], False, False),
    "starcoder": ([r"\p{N}", GPT2], False, False),
    "llama-bpe": ([LLAMA3.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", CONTRACTIONS)], True, True),
    "dbrx": ([LLAMA3.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", CONTRACTIONS)], False, False),
    "qwen2": ([QWEN2.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", CONTRACTIONS)], False, False),
    "falcon": ([r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"], False, False),
    "tekken": ([TEKKEN], True, True),
    "gpt-4o": ([GPT4O], False, False),
    "deepseek-v3": ([
        r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"], False, False),
    "seed-coder": ([
        CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"], False, False),
    "bailingmoe": ([
        r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"], False, False),
    "qwen35": ([
        CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"], False, False),
    "viking": ([" ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+", r"\p{N}"], False, False),
}


def added(tokens, types):
    """Control, unknown and user-defined tokens are recognised in the text."""
    out = []
    for token, kind in zip(tokens, types):
        if kind in (2, 3, 4):
            out.append(AddedToken(token, special=kind != 4, normalized=False))
    return out


def byte_level_oracle(v):
    patterns, ignore_merges, _ = PRE[v["pre"]]
    merges = []
    for m in v["merges"]:
        cut = m.index(" ", 1)
        merges.append((m[:cut], m[cut + 1:]))
    t = Tokenizer(models.BPE(
        vocab={x: i for i, x in enumerate(v["tokens"])}, merges=merges, ignore_merges=ignore_merges))
    if v["pre"] == "smollm":
        steps = [pre_tokenizers.Digits(individual_digits=True),
                 pre_tokenizers.ByteLevel(add_prefix_space=False)]
    else:
        steps = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    t.pre_tokenizer = pre_tokenizers.Sequence(steps)
    t.decoder = decoders.ByteLevel()
    t.add_tokens(added(v["tokens"], v["token_type"]))
    return t


def scored_merges(tokens, types, scores):
    """Every way to put a piece together, best score first."""
    pieces = {x: i for i, (x, k) in enumerate(zip(tokens, types)) if k in (1, 4, 5)}
    merges = []
    for piece, i in pieces.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in pieces and right in pieces:
                merges.append((scores[i], len(left), len(right), left, right))
    merges.sort(key=lambda m: m[:3], reverse=True)
    return [m[3:] for m in merges]


def sentencepiece_oracle(v):
    tokens, types = v["tokens"], v["token_type"]
    t = Tokenizer(models.BPE(
        vocab={x: i for i, x in enumerate(tokens)},
        merges=scored_merges(tokens, types, v["scores"]), byte_fallback=True, fuse_unk=True,
        unk_token=tokens[v["unknown_token_id"]]))
    steps = [normalizers.Prepend(" ")] if v["add_space_prefix"] else []
    t.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "\u2581")])
    tail = [decoders.Strip(" ", 1, 0)] if v["add_space_prefix"] else []
    t.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()] + tail)
    t.add_tokens(added(tokens, types))
    return t


def check_against_sentencepiece(v, tokenizer, texts):
    """SentencePiece's own rule, slowly: merge the best-scored pair, the leftmost of equals."""
    ids = {x: i for i, (x, k) in enumerate(zip(v["tokens"], v["token_type"])) if k in (1, 4, 5)}
    specials = [x for x, k in zip(v["tokens"], v["token_type"]) if k in (2, 3, 4)]
    checked = 0
    for text in texts:
        if any(s in text for s in specials) or len(text) > 200 or not text:
            continue
        symbols = list(((" " if v["add_space_prefix"] else "") + text).replace(" ", "\u2581"))
        while True:
            pairs = [(-v["scores"][ids[a + b]], n) for n, (a, b) in enumerate(zip(symbols, symbols[1:]))
                     if a + b in ids]
            if not pairs:
                break
            _, n = min(pairs)
            symbols[n:n + 2] = [symbols[n] + symbols[n + 1]]
        expected = []
        for s in symbols:
            if s in ids:
                expected.append(ids[s])
            else:
                expected += [v["tokens"].index(f"<0x{b:02X}>") for b in s.encode()]
        assert tokenizer.encode(text, add_special_tokens=False).ids == expected, text
        checked += 1
    print(f"  {checked} texts agree with SentencePiece's rule")


def small_byte_level():
    """Trained on whole texts, so that its merges cross every border a pre-tokenizer sets."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.train_from_iterator(TRAINING, byte_level_trainer(1000, ["<|endoftext|>", "<|im_start|>"]))
    model = json.loads(t.to_str())["model"]
    tokens = [x for x, _ in sorted(model["vocab"].items(), key=lambda x: x[1])]
    return {
        "model": "gpt2", "pre": "gpt-2", "tokens": tokens, "scores": None,
        "token_type": [3, 3] + [1] * (len(tokens) - 2),
        "merges": [" ".join(m) for m in model["merges"]], "bos_token_id": 0, "eos_token_id": 0,
        "unknown_token_id": None, "padding_token_id": None, "add_bos_token": None,
        "add_eos_token": None, "add_space_prefix": False}


def small_sentencepiece(space_prefix):
    source = llama2_style() if space_prefix else gemma_style()
    model = json.loads(source.to_str())["model"]
    tokens = [x for x, _ in sorted(model["vocab"].items(), key=lambda x: x[1])]
    first = 3 if space_prefix else 4
    types = [2 if x == "<unk>" else 3 for x in tokens[:first]] + [6] * 256
    types += [1] * (len(tokens) - len(types))
    scores = [0.0] * (first + 256) + [-float(n) for n in range(len(tokens) - first - 256)]
    if not space_prefix:
        defined = [x for x in ("\n\n", "  ", "<table>", "</table>", "[multimodal]") if x not in tokens]
        tokens += defined
        types += [4] * len(defined)
        scores += [-1000.0] * len(defined)
    order = ["<unk>", "<s>", "</s>"] if space_prefix else ["<unk>", "<bos>", "<eos>"]
    unknown, bos, eos = (tokens.index(x) for x in order)
    return {
        "model": "llama", "pre": "default", "tokens": tokens, "scores": scores, "token_type": types,
        "merges": None, "bos_token_id": bos, "eos_token_id": eos, "unknown_token_id": unknown,
        "padding_token_id": None, "add_bos_token": None if space_prefix else True,
        "add_eos_token": False, "add_space_prefix": None if space_prefix else False}


def write_gguf_small():
    v = small_byte_level()
    dump("gguf-gpt2.vocabulary.json", v)
    variants = {}
    for pre in PRE:
        t = byte_level_oracle({**v, "pre": pre})
        variants[pre] = {
            "adds_bos": PRE[pre][2],
            "digests": [digest(t.encode(x, add_special_tokens=False).ids) for x in CORPUS]}
    dump("gguf-gpt2.golden.json", {"pre": variants})
    for name, prefix in (("gguf-llama", True), ("gguf-gemma", False)):
        v = small_sentencepiece(prefix)
        dump(f"{name}.vocabulary.json", v)
        v["add_space_prefix"] = prefix
        t = sentencepiece_oracle(v)
        dump(f"{name}.golden.json", golden(t))
        check_against_sentencepiece(v, t, CORPUS)


def gguf_vocabulary(path):
    """The entries `tokenizer.ggml.*` of a GGUF file that an oracle is built from."""
    from gguf import GGUFReader

    reader = GGUFReader(path)
    keys = ["model", "pre", "tokens", "scores", "token_type", "merges", "unknown_token_id",
            "add_space_prefix"]
    v = {}
    for key in keys:
        field = reader.fields.get(f"tokenizer.ggml.{key}")
        v[key] = field.contents() if field else None
    return v


def write_gguf_models(directory):
    for name, file in (
        ("gguf-smollm2", "smollm2-135m-instruct.gguf"), ("gguf-gemma3", "gemma-3-270m.gguf")
    ):
        v = gguf_vocabulary(Path(directory) / file)
        if v["model"] == "gpt2":
            t = byte_level_oracle(v)
        else:
            t = sentencepiece_oracle(v)
            check_against_sentencepiece(v, t, CORPUS)
        dump(f"{name}.json", golden(t))


# ---------------------------------------------------------------------------------------------------
# The pipelines of the families, on small models


def merged_model(**options):
    """Byte-level merges that cross every border, so that a border missed shows in the ids."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    t.train_from_iterator(TRAINING, byte_level_trainer(900, []))
    return json.loads(t.to_str())["model"] | options


def word_model(**options):
    """Subwords with a mark within words (continuing_subword_prefix) or at their end. Made by hand,
    since the trainer numbers marked letters as it happens: words merge from the left, or the right."""
    prefix, suffix = options.get("continuing_subword_prefix", ""), options.get("end_of_word_suffix", "")
    letters = "abcdefghijklmnopqrstuvwxyz.,'0123"
    vocab = ["<unk>"] + list(letters) + [prefix + c for c in letters] + [c + suffix for c in letters]
    vocab += [prefix + c + suffix for c in letters]
    merges = []
    for number, word in enumerate(WORDS[:110]):
        parts = [(prefix if i else "") + c for i, c in enumerate(word)]
        parts[-1] += suffix
        while len(parts) > 1:
            i = 0 if number % 3 else len(parts) - 2
            pair = (parts[i], parts[i + 1])
            parts[i:i + 2] = [pair[0] + pair[1][len(prefix):]]
            merges.append(pair)
            vocab.append(parts[i])
    t = Tokenizer(models.BPE(
        vocab={x: i for i, x in enumerate(dict.fromkeys(vocab))}, merges=list(dict.fromkeys(merges)), **options))
    return json.loads(t.to_str())["model"]


def unigram_model(with_bytes):
    """Made by hand: the trainer's result differs from run to run. The scores have many digits, for
    ties that rounding decides."""
    pieces = ["\u2581"] + [f"\u2581{w}" for w in WORDS[:120]] + list("etaoinshrdlucmfwypvbgkjqxz")
    pieces += [w[i:i + n] for n in (2, 3, 4) for w in WORDS for i in range(len(w) - n + 1)]
    pieces += list("ETAIS.,'!?0123") + ["\n", "\n\n", "\n\n\n", "''", "...", "\u00e9", "\u4f60", "12", "123"]
    pieces = [x for x in dict.fromkeys(pieces)][:520]
    scores = [-1.37 * math.log(i + 2) - 0.9 / len(x) for i, x in enumerate(pieces)]
    model = {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
             "vocab": [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0]] + [list(x) for x in zip(pieces, scores)]}
    if with_bytes:
        model["vocab"] += [[f"<0x{b:02X}>", 0.0] for b in range(256)]
        model["byte_fallback"] = True
    # Equal sums: the cut is a matter of the rule for ties.
    ties = [["zq", -4.0], ["z", -2.0], ["q", -2.0], ["zqz", -6.0], ["qz", -4.0], ["\u00e9\u4f60", -50.0]]
    names = [x for x, _ in ties]
    model["vocab"] = [x for x in model["vocab"] if x[0] not in names] + ties
    return model


def charsmap(rules=None, name="identity"):
    """A table as SentencePiece compiles it, of rules (text, replacement) or of a rule set's name."""
    import io
    import tempfile

    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as proto

    output = io.BytesIO()
    options = {"normalization_rule_name": name}
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        if rules is not None:
            def codes(text):
                return " ".join(f"{ord(c):X}" for c in text)

            for left, right in rules:
                file.write(f"{codes(left)}\t{codes(right)}\n")
            file.flush()
            options = {"normalization_rule_tsv": file.name}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(prose(3, 50)), model_writer=output, vocab_size=60,
            minloglevel=2, **options)
    m = proto.ModelProto()
    m.ParseFromString(output.getvalue())
    return m.normalizer_spec.precompiled_charsmap


RULES = [
    ("\ufb01", "fi"), ("\ufb03", "ffi"), ("\uff11", "1"), ("\uff12", "2"), ("\u2460", "1"), ("\u00a0", " "),
    ("\u3000", " "), ("\t", " "), ("\u200b", ""), ("\u00ad", ""), ("e\u0301", "\u00e9"), ("A\u030a", "\u00c5"),
    ("\u212b", "\u00c5"), ("n\u0303", "\u00f1"), ("\u0301", ""), ("\r\n", "\n"), ("\u2026", "..."),
    ("\u00bd", "1/2"), ("\U0001f600", ":)"), ("\u1112\u1161\u11ab", "\ud55c"), ("\u1100", "g"), ("abc", "X"),
    ("ab", "Y"), ("\U0001f469", "W"), ("\u0928\u092e", "nm"), ("\u1e9b\u0323", "s"), ("\u00df", "ss"),
]


def family_cases():
    """(name, model, components); the components as HF's objects, added tokens last."""
    P, N, D, O = pre_tokenizers, normalizers, decoders, processors
    qwen2 = Regex(QWEN2)
    spaces = [AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)]
    end = AddedToken("<|endoftext|>", special=True)
    bytes_only = P.ByteLevel(add_prefix_space=False, use_regex=False)
    llama_decoder = D.Sequence([D.Replace("\u2581", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    llama_added = [AddedToken(x, special=True, normalized=False) for x in ("<unk>", "<s>", "</s>")]
    bos = O.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    t5_end = O.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)])
    table = N.Precompiled(charsmap(RULES))
    phi3 = [AddedToken(x, special=True, rstrip=True, normalized=False) for x in
            ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<mask>")]
    return [
        ("gpt2", "bytes", None, P.ByteLevel(add_prefix_space=False), O.ByteLevel(trim_offsets=False),
         D.ByteLevel(), [AddedToken("<|endoftext|>", special=True, normalized=True)]),
        ("gpt-neox", "bytes", N.NFC(), P.ByteLevel(add_prefix_space=False), O.ByteLevel(), D.ByteLevel(),
         [end, AddedToken("<|padding|>", special=True)] + spaces),
        ("olmo", "bytes", N.NFC(), P.ByteLevel(add_prefix_space=False), O.TemplateProcessing(
            single="$A", pair="$A $B", special_tokens=[]), D.ByteLevel(),
         [AddedToken("|||EMAIL_ADDRESS|||", normalized=False), end] + spaces),
        ("qwen2", "bytes", N.NFC(), P.Sequence([P.Split(qwen2, "isolated"), bytes_only]),
         O.ByteLevel(trim_offsets=False), D.ByteLevel(),
         [end] + [AddedToken(x, special=True, normalized=False) for x in ("<|im_start|>", "<|im_end|>")]),
        ("stablelm2", "bytes", None, P.Sequence([P.Split(qwen2, "removed", invert=True), bytes_only]),
         O.ByteLevel(), D.ByteLevel(), [end]),
        ("llama3", "bytes-whole", None, P.Sequence([P.Split(Regex(LLAMA3), "isolated"), bytes_only]),
         O.Sequence([O.ByteLevel(trim_offsets=False), O.TemplateProcessing(
             single="<|begin_of_text|> $A", pair="$A $B", special_tokens=[("<|begin_of_text|>", 900)])]),
         D.ByteLevel(), [AddedToken(x, special=True, normalized=False) for x in (
             "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")]),
        ("tekken", "bytes-whole", None, P.Sequence([P.Split(Regex(PATTERNS[-1]), "isolated"), bytes_only]),
         None, D.ByteLevel(), [end]),
        ("smollm", "bytes", None, P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)]),
         None, D.ByteLevel(), [end]),
        ("byte-normalizer", "bytes", N.Sequence([N.NFKC(), N.ByteLevel()]), P.Split("\u0120", "merged_with_next"),
         None, D.ByteLevel(), [end]),
        ("llama2", "pieces", N.Sequence([N.Prepend("\u2581"), N.Replace(" ", "\u2581")]), None, bos,
         llama_decoder, llama_added),
        ("llama2-metaspace", "pieces", None, P.Metaspace(prepend_scheme="first", split=False), bos,
         llama_decoder, llama_added),
        ("mistral-always", "pieces", None, P.Metaspace(prepend_scheme="always", split=False), bos,
         llama_decoder, llama_added),
        ("mistral-never", "pieces", None, P.Metaspace(prepend_scheme="never", split=True), bos,
         D.Metaspace(prepend_scheme="never"), llama_added),
        ("phi3", "pieces", N.Sequence([N.Prepend("\u2581"), N.Replace(" ", "\u2581")]), None, bos,
         llama_decoder, llama_added + phi3),
        ("word-suffix", "suffix", N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()]),
         P.Sequence([P.Split(Regex(r"'s|'t|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True)]), None,
         D.BPEDecoder(suffix="</w>"), [AddedToken("<mask>", lstrip=True, special=True)]),
        ("word-suffix-fused", "suffix-fused", N.Lowercase(), P.WhitespaceSplit(), None,
         D.BPEDecoder(suffix="</w>"), []),
        ("word-prefix", "prefix", N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase()]), P.Whitespace(), None,
         None, [AddedToken("[MASK]", single_word=True)]),
        ("t5", "unigram", N.Sequence([table, N.Replace(Regex(" {2,}"), " ")]),
         P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="always")]), t5_end,
         D.Metaspace(prepend_scheme="always"), [AddedToken(x, special=True) for x in ("<unk>", "</s>", "<mask>")]),
        ("xlm-roberta", "unigram", table, P.Metaspace(prepend_scheme="always"), bos,
         D.Metaspace(prepend_scheme="always"), llama_added + [AddedToken("<mask>", lstrip=True, special=True)]),
        ("unigram-first", "unigram", table, P.Metaspace(prepend_scheme="first"), None,
         D.Metaspace(prepend_scheme="first"), llama_added),
        ("unigram-bytes", "unigram-bytes", N.Sequence([N.Nmt(), N.NFKC(), N.Replace(" ", "\u2581")]), None, None,
         llama_decoder, llama_added),
        ("unigram-plain", "unigram", N.Sequence([N.Strip(), N.StripAccents()]), P.Split(Regex(r"\s+"), "merged_with_next"),
         None, None, []),
    ]


FAMILY_TEXTS = CORPUS + [
    "zq zqz zqzq qzqz zzqq \u00e9\u4f60 \u00e9\u4f60\u00e9\u4f60z", "abcab ababc xabc <unk> <unk>\u00e9\u00e9 \u4f60<s>\u4f60",
    "\ufb01\ufb03\u200bx \u00ade\u0301 e\u0301\u0323 \r\n\r\n \u1112\u1161\u11ab\u1100\u1161 \U0001f469\u200d\U0001f680 \U0001f469\U0001f3fd",
    "a" + "\u0301\u0323" * 100 + "b\u0344" + "\u0f73\u0f75\u0f81" * 40 + "\u0301\u0345\u0323\u05b0" * 30,
    "\u200bfirst goes", "\u0301\u0301mark goes", "\u3000\u3000wide", "\u1cf2x\U000111c9y",
]


def write_families():
    pieces = json.loads(sentencepiece_style(
        600, None, None, ["<unk>", "<s>", "</s>"], unk_token="<unk>", byte_fallback=True, fuse_unk=True
    ).to_str())["model"]
    bases = {
        "bytes": merged_model(), "bytes-whole": merged_model(ignore_merges=True), "pieces": pieces,
        "suffix": word_model(unk_token="<unk>", end_of_word_suffix="</w>"),
        "suffix-fused": word_model(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=True),
        "prefix": word_model(unk_token="<unk>", continuing_subword_prefix="##"),
        "unigram": unigram_model(False), "unigram-bytes": unigram_model(True),
    }
    empty = json.loads(Tokenizer(models.BPE()).to_str())
    cases = []
    for name, base, normalizer, pre_tokenizer, post_processor, decoder, tokens in family_cases():
        t = Tokenizer.from_str(json.dumps(empty | {"model": bases[base]}))
        for key, value in (("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer),
                           ("post_processor", post_processor), ("decoder", decoder)):
            if value is not None:
                setattr(t, key, value)
        t.add_tokens(tokens)
        ids = [t.encode(x, add_special_tokens=False).ids for x in FAMILY_TEXTS]
        decoded = [t.decode(i, skip_special_tokens=False) + t.decode(i, skip_special_tokens=True) for i in ids]
        root = json.loads(t.to_str())
        del root["model"]
        cases.append({
            "name": name, "model": base, "components": root,
            "with_special_tokens": t.encode("a b", add_special_tokens=True).ids,
            "ids": [digest(i) for i in ids],
            "decoded": [digest(x.encode()) for x in decoded]})
    dump("families.json", {"models": bases, "texts": FAMILY_TEXTS[len(CORPUS):], "cases": cases})


# ---------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dolma2", help="OLMo-2's tokenizer.json, gzipped")
    parser.add_argument("--models", help="the directory of the fetched GGUF files")
    parser.add_argument("--families", action="store_true", help="write families.json and nothing else")
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if arguments.families:
        return write_families()
    dump("corpus.json", CORPUS)
    write("byte-level-digits", smollm_style())
    write("split-template", llama3_style())
    write("prepend-replace", llama2_style())
    write("replace-byte-fallback", gemma_style())
    write("metaspace-first", metaspace_style())
    write("composed-added", composed_style())
    write_components()
    write_gguf_small()
    write_families()
    if arguments.dolma2:
        t = Tokenizer.from_str(gzip.open(arguments.dolma2, "rt", encoding="utf-8").read())
        dump("dolma2.golden.json", golden(t))
    if arguments.models:
        write_gguf_models(arguments.models)


if __name__ == "__main__":
    main()

"""What transformers' apply_chat_template makes of conversations: Tests/Goldens/tokenizers/chat.json.

Templates are SmolLM2's own, out of its GGUF file (scripts/fetch-model smollm2-135m-instruct), and short
ones of this project's that use, piece by piece, the constructs of the supported families' templates. To
compare other templates too, name files: chat.py --check F.jinja … prints nothing to the goldens and
writes cases to standard output.
"""

import json
import os
import sys
from pathlib import Path

import gguf
from transformers.utils.chat_template_utils import render_jinja_template

OUT = Path(__file__).resolve().parents[2] / "Tests/Goldens/tokenizers/chat.json"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "etd" / "models"
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

OWN = {
    "whitespace": """{%- for m in messages -%}
    {% if m.role == 'user' %}
  U: {{ m['content'] }}
    {% else %}
  A: {{- m.content }}
    {%- endif %}
{#- a comment -#}
 {% endfor %}
{{ eos_token }}
""",
    "alternating": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{{ raise_exception('no system turns') }}{% endif %}
{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{ '<' ~ role ~ '>' + message['content'] | trim + '</' + role + '>\\n' }}{% endfor %}
{% if add_generation_prompt %}{{'<model>'}}{% endif %}""",
    "namespace": """{%- set ns = namespace(found=false, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if not ns.found and message.role == "user" and message.content is string and not (message.content.startswith('<x>') and message.content.endswith('</x>')) %}
        {%- set ns.found = true %}{%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- set content = message.content.split('</think>')[-1].lstrip('\\n') if '</think>' in message.content else message.content %}
{{- loop.first ~ loop.last ~ ns.last ~ ':' ~ content.rstrip() ~ '|' }}
{%- endfor %}{{ tools is none }}{{ date is defined }}{{ strftime_now is defined }}""",
    "system first": """{%- if messages[0]["role"] == "system" %}{%- set system = messages[0]["content"] %}{%- set rest = messages[1:] %}
{%- else %}{%- set rest = messages %}{%- endif %}
{%- for m in rest if m.role != 'tool' %}{%- if loop.last and system is defined %}[{{ system + "\\n\\n" }}]{%- endif %}{{ m.content | tojson }}{{ [1, 2.5, 'é', none, true, {"a": m.role}] | tojson }}{%- else %}nobody{%- endfor %}
{%- for key, value in messages[0].items() %}{{ key | upper }}={{ value | replace("e", "E") | length }};{% endfor %}
{{- messages | selectattr('role', 'equalto', 'user') | list | length }}{{ messages | map('length') | join(',') }}{{ nothing | default('d') }}{{ (7 // 2) ~ (-7 % 3) ~ 1.5 * 2 }}{{ "a" in "abc" and 3 not in [1, 2] }}""",
}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


CONVERSATIONS = [
    [user("Hi")],
    [{"role": "system", "content": "Be brief."}, user("  Hi\n")],
    [user("Hi"), assistant(" Hello! "), user("What's 2+2? <b>\"é\"</b> \\ \t")],
    [user("a"), assistant("<think>\nx\n</think>\n\nb"), user("<x>c</x>"), assistant("d")],
    [assistant("x"), user("y")],
]


def cases(templates):
    for name, template in templates.items():
        for number, messages in enumerate(CONVERSATIONS):
            for begins in (True, False):
                try:
                    found = render_jinja_template(
                        conversations=[messages], chat_template=template, add_generation_prompt=begins,
                        **SPECIAL)[0][0]
                except Exception:
                    # What the template refuses.
                    found = None
                yield {
                    "name": f"{name} {number} {begins}", "template": template, "messages": messages,
                    "begins": begins, "expected": found,
                }


def main():
    if sys.argv[1:2] == ["--check"]:
        return print(json.dumps(list(cases({f: Path(f).read_text() for f in sys.argv[2:]}))))
    reader = gguf.GGUFReader(CACHE / "smollm2-135m-instruct.gguf")
    real = reader.fields["tokenizer.chat_template"].contents()
    made = {"special": SPECIAL, "cases": list(cases({"smollm2": real} | OWN))}
    OUT.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


main()

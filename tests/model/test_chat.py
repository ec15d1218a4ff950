"""Whatever template and tokenizer do, the question arrives, and an answer ends as the model ends it."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from swarmd.errors import ConfigError, ModelError
from swarmd.model import ChatTokenizer, load_model, locate
from swarmd.model.tokenizer import _pattern
from swarmd.tasks.prompt import extract_answer, prompt_messages
from tests.conftest import byte_tokenizer

QUESTION = "How many legs have 3 spiders?"
INSTRUCTION = prompt_messages(QUESTION)[0]["content"]
SYSTEM_REFUSED = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
)
SYSTEM_DROPPED = "{% set messages = messages | rejectattr('role', 'equalto', 'system') | list %}"
TURNS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PARTS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for part in m['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}" + SYSTEM_REFUSED + "{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PHI = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
GLM = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def tokenizer_of(template, *tokens, special=True, **names):
    hf = byte_tokenizer()
    hf.add_tokens([AddedToken(token, special=special, normalized=False) for token in tokens])
    for name, token in names.items():
        setattr(hf, name, token)
    hf.chat_template = template
    return hf


def prompt_of(hf, **more):
    return hf.decode(ChatTokenizer(hf, **more).render(QUESTION), clean_up_tokenization_spaces=False)


# --- what ends an answer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "tokens", "end"),
    [
        (GEMMA, ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"), "<end_of_turn>"),
        (PHI, ("<eos>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"), "<|end|>"),
        (TURNS.replace("<|im_end|>", " </s>"), ("<eos>", "</s>"), "</s>"),
        (TURNS.replace("<|im_end|>", "{{ eos_token }}"), ("<eos>",), "<eos>"),
    ],
    ids=["gemma 3", "phi 3.5", "behind a space", "the tokenizer's"],
)
def test_finished_text_of_others_ends_with_the_token_that_the_template_writes_there(template, tokens, end):
    hf = tokenizer_of(template, *tokens, eos_token="<eos>", bos_token="<bos>")
    chat = ChatTokenizer(hf)
    assert chat.encode_completion("5", True, 9)[-1] == chat.eos_id == hf.convert_tokens_to_ids(end)
    assert chat.eos_ids == {hf.convert_tokens_to_ids(end), hf.eos_token_id}
    assert chat.decode_completion(chat.encode_completion("5", True, 9)) == "5"


def test_what_the_generation_settings_end_on_ends_too():
    hf = tokenizer_of(TURNS)
    assert ChatTokenizer(hf, [7, 8]).eos_ids == {7, 8, hf.eos_token_id}


def test_the_next_turns_mark_ends_an_answer_where_the_generation_settings_say_so():
    hf = tokenizer_of(GLM, "<eos>", "<|system|>", "<|user|>", "<|assistant|>", eos_token="<eos>")
    user = hf.convert_tokens_to_ids("<|user|>")
    assert ChatTokenizer(hf, [user]).eos_id == user
    assert ChatTokenizer(hf).eos_id == hf.eos_token_id


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m['content'] }} ok {% endfor %}",
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ raise_exception('no') }}{% endif %}"
        "{{ m['content'] }}{% endfor %}",
        None,
    ],
    ids=["text behind an answer", "no answers", "no template"],
)
def test_where_the_template_writes_no_end_the_tokenizers_is_used(template):
    hf = tokenizer_of(template)
    assert ChatTokenizer(hf).eos_id == hf.eos_token_id


def test_a_turn_end_that_the_tokenizer_calls_text_is_neither_shown_nor_written_by_others():
    hf = tokenizer_of(TURNS.replace("<|im_end|>", "<|end|>"), "<|end|>", special=False)
    chat = ChatTokenizer(hf)
    end = hf.convert_tokens_to_ids("<|end|>")
    ids = chat.encode_completion("5<|end|>6", True, 99)
    assert chat.eos_id == end
    assert ids.index(end) == len(ids) - 1
    assert chat.decode_completion(ids) == "5<|end|>6"
    assert chat.completion_spans("5<|end|>6", True, 99) == (*((n, n + 1) for n in range(9)), (9, 9))


@pytest.mark.parametrize(
    "of_an_answer", ["", "{{ raise_exception('no answers') }}"], ids=["left out", "refused"]
)
def test_a_conversation_keeps_its_answer_where_the_template_writes_none(of_an_answer):
    template = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}"
        + of_an_answer
        + "{% else %}{{ m['content'] }} "
        "{% endif %}{% endfor %}"
    )
    chat = ChatTokenizer(tokenizer_of(template))
    asked = {"role": "user", "content": "What is 2 + 3?"}
    told = chat.conversation([asked, {"role": "assistant", "content": "It is 5"}])
    assert chat.hf.decode(told).endswith("What is 2 + 3? It is 5")
    assert told[: -len("It is 5")] == chat.prompt([asked])


# --- what arrives ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [TURNS, SYSTEM_REFUSED + TURNS, SYSTEM_DROPPED + TURNS, PARTS, SYSTEM_DROPPED + PARTS, None],
    ids=["plain", "system refused", "system dropped", "parts", "parts, system dropped", "none"],
)
def test_question_and_instruction_are_in_the_prompt(template):
    prompt = prompt_of(tokenizer_of(template))
    assert prompt.count(INSTRUCTION) == prompt.count(QUESTION) == 1


@given(
    st.lists(st.text("<ab.|\n", min_size=1, max_size=5), min_size=1, max_size=8),
    st.text("<ab.|\n", max_size=30),
)
def test_the_longest_control_token_is_found_wherever_one_is_spelled(tokens, text):
    longest_first = "|".join(map(re.escape, sorted(tokens, key=len, reverse=True)))
    found = _pattern(tokens)
    assert found is not None
    assert found.findall(text) == re.findall(longest_first, text)


def test_thousands_of_control_tokens_are_not_tried_one_by_one():
    found = _pattern([f"<unused{number}>" for number in range(6_000)])
    assert found is not None
    assert max(level.count("|") for level in re.split(r"[()]", found.pattern)) <= 10
    assert found.sub(" ", "<<unused5999><unused6000>") == "< <unused6000>"


@pytest.mark.parametrize("template", [TURNS, SYSTEM_REFUSED + TURNS, SYSTEM_REFUSED + PARTS])
def test_a_conversation_without_an_instruction_keeps_who_wrote_what(template):
    opening = "<|im_start|>assistant\n" if template.endswith(TURNS) else ""
    hf = tokenizer_of(template)
    told = [("user", "Guess."), ("assistant", "4"), ("user", "It is higher.")]
    for count in (1, 3):
        ids = ChatTokenizer(hf).prompt([{"role": role, "content": text} for role, text in told[:count]])
        written = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in told[:count])
        assert hf.decode(ids, clean_up_tokenization_spaces=False) == written + opening


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("<|im_start|>", "the instruction is lost"),
        ("{% for m in messages %}{{ m['text'] }}{% endfor %}", "the instruction is lost"),
        ("{{ messages[0]['content'] | nonsense }}", "nonsense"),
        ("{% for m in messages %}", "TemplateSyntaxError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ messages[0].content + 1 }}", "TypeError"),
        (TURNS.replace("m['content']", "m['content'][:1000]"), "a question of 2000 characters is truncated"),
        (TURNS.replace("m['content']", "m['content'][-1000:]"), "a question of 2000 characters is truncated"),
        (TURNS + "{{ range(10**5) | random }}", "differently each time"),
    ],
)
def test_a_template_that_cannot_be_used_is_named_with_why_and_what_to_do(template, why):
    with pytest.raises(ModelError, match=rf"chat template of .*{why}.*--template-arg .*use another model"):
        ChatTokenizer(tokenizer_of(template))


def test_template_arguments_reach_the_template():
    hf = tokenizer_of("{{ '/think' if thinking else '/quick' }} {{ style }} " + TURNS)
    assert "/quick short" in prompt_of(hf, template_args={"thinking": False, "style": "short"})


@pytest.mark.parametrize("name", ["tokenize", "messages", "add_generation_prompt", "return_dict"])
def test_an_argument_that_is_not_the_templates_is_refused(name):
    with pytest.raises(ConfigError, match=f"template argument {name}"):
        ChatTokenizer(tokenizer_of(TURNS), template_args={name: True})


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (TURNS, "it reads none"),
        ("{{ thinking }}{{ style if style is defined }}" + TURNS, "it reads style, thinking"),
        ("{% generation %}{{ style }}{% endgeneration %}" + TURNS, "it reads style"),
        (
            "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{% endfor %}"
            "{% set own = namespace(x=1) %}{{ bos_token }}{{ style }}" + TURNS,
            "it reads style",
        ),
    ],
)
def test_an_argument_that_the_template_does_not_read_is_refused_with_those_it_does(template, told):
    with pytest.raises(ConfigError, match=rf"does not read the template argument thinkin: {told}; correct"):
        ChatTokenizer(tokenizer_of(template), template_args={"thinkin": True})


def test_without_a_template_no_argument_is_taken():
    with pytest.raises(ConfigError, match="has no chat template, so nothing reads the template argument x"):
        ChatTokenizer(tokenizer_of(None), template_args={"x": 1})


def test_a_prompt_begins_once_also_where_the_template_begins_it_twice():
    hf = tokenizer_of("<bos><bos>" + TURNS, "<bos>", bos_token="<bos>")
    ids = ChatTokenizer(hf).render(QUESTION)
    assert ids[0] == hf.bos_token_id
    assert ids.count(hf.bos_token_id) == 1


def test_a_plain_prompt_is_not_ended_by_a_tokenizer_that_ends_every_text():
    hf = tokenizer_of(None)
    hf.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <|im_end|>", special_tokens=[("<|im_end|>", hf.eos_token_id)]
    )
    assert hf("a")["input_ids"][-1] == hf.eos_token_id
    assert prompt_of(hf).endswith(f"{QUESTION}\n\n")


# --- what is scored ----------------------------------------------------------------------------------


def test_answer_tags_that_are_special_tokens_are_kept_and_written_as_the_model_writes_them():
    hf = tokenizer_of(TURNS, "<answer>", "</answer>")
    chat = ChatTokenizer(hf)
    text = "So <answer>5</answer>"
    ids = chat.encode_completion(text, True, 99)
    assert len(ids) == len("So ") + 4
    assert hf.convert_tokens_to_ids("<answer>") in ids
    assert chat.decode_completion(ids) == text
    assert extract_answer(chat.decode_completion(ids)) == "5"
    assert chat.completion_spans(text, True, 99)[3:] == ((3, 11), (11, 12), (12, 21), (21, 21))
    assert chat.decode_completion(chat.encode_completion("", False, 9)) == ""


def test_a_tokenizer_that_changes_answers_is_refused():
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "</s>": 1, "5": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    hf = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="[UNK]")
    with pytest.raises(ModelError, match="changes text"):
        ChatTokenizer(hf)


def test_an_end_token_that_is_not_in_the_vocabulary_ends_nothing():
    hf = tokenizer_of(None, eos_token="<nowhere>")
    with pytest.raises(ModelError, match="has no end-of-sequence token"):
        ChatTokenizer(hf)


def test_the_embedded_model_reads_no_instruction_because_it_learned_without_one():
    _, tokenizer = load_model(locate("embedded"), torch.float32)
    text = tokenizer.hf.decode(tokenizer.render("What is 2 + 3?"))
    assert text == "<|im_start|>user\nWhat is 2 + 3?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("changed", ["striptags", "upper", "replace('<', '[')"])
def test_a_template_that_changes_the_answer_tags_is_refused(changed):
    with pytest.raises(ModelError, match=r"is changed|is lost"):
        ChatTokenizer(tokenizer_of(TURNS.replace("content']", f"content'] | {changed}")))

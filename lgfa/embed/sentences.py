"""Which texts say something, and the sentences that become of words and templates."""
from __future__ import annotations

import re
import unicodedata

from ..errors import LGFAError

# Unicode calls these letters, symbols or unassigned, but they show nothing: fillers of Hangul and
# Braille, a note without a head, code points kept for invisible ones, and those that are none.
_BLANK = re.compile("[\u115f\u1160\u2065\u2800\u3164\uffa0\U0001d159"
                    "\ufdd0-\ufdef\ufff0-\uffff\U000e0000-\U000e0fff]")


def has_words(text: str) -> bool:
    """Whether a text shows anything: not blanks, controls, marks and zero-width characters only."""
    # Cn: not assigned when this Python was made, such as a new emoji; Co: of somebody's own font.
    return any(unicodedata.category(c)[0] in "LNPS" or unicodedata.category(c) in ("Cn", "Co")
               for c in _BLANK.sub("", text))


def check_text(text: object) -> str:
    """The text, if CLIP can read it; LGFAError for an empty one, and for bytes that are none."""
    if isinstance(text, str) and not _is_encodable(text):
        raise LGFAError("the text holds bytes that are no characters: write it in UTF-8.")
    if not isinstance(text, str) or not has_words(text):
        raise LGFAError('the text is empty: write a sentence like "The person is smiling".')
    return text


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:              # halves of characters, or bytes of another encoding
        return False
    return True


def fill_template(template: str, words: str) -> str:
    """"The person is {}" and "smiling" to "The person is smiling".

    Only the first `{}` is a slot, so other braces in either text stay as they are.
    Raises LGFAError when the template has no slot.
    """
    before, slot, after = template.partition("{}")
    if not slot:
        raise LGFAError(f"the prompt template {template!r} has no {{}} for the words: "
                        'write for example "The person is {}".')
    return before + words + after


def sentences(text: str, template: str = "{}") -> tuple[str, ...]:
    """The sentences of a text of several lines: each line that is not empty, put into the
    template, unless it begins as the template does: then it is a sentence already. LGFAError for a
    text without any and for a template without {}."""
    template = template.strip()
    begin = template.partition("{}")[0].strip().lower() + " "
    lines = [line.strip() for line in text.splitlines() if has_words(line)]
    if not lines:
        raise LGFAError('the text is empty: write an expression a line, such as "smiling".')
    filled = [fill_template(template, line) for line in lines]
    return tuple(line if line.lower().startswith(begin) else full
                 for line, full in zip(lines, filled, strict=True))

"""Long texts are kept packed: a plan, an output, a webhook's body say the same words again and again.

A packed text begins with a mark that no JSON begins with; a text that was kept as it is reads as it is.
To look at one by hand: base64 and zlib behind the mark.
"""

from __future__ import annotations

import base64
import zlib

_MARK = "~"

#: Shorter ones are not worth the work.
_LEAST_CHARACTERS = 500

#: Nearly as small as the best, in a third of its time: a webhook waits for it.
_LEVEL = 3


def pack(text: str) -> str:
    """The text as it is to be kept."""
    if len(text) < _LEAST_CHARACTERS and not text.startswith(_MARK):
        return text
    small = zlib.compress(text.encode("utf-8", "surrogatepass"), _LEVEL)
    packed = _MARK + base64.b64encode(small).decode("ascii")
    return packed if len(packed) < len(text) or text.startswith(_MARK) else text


def unpack(text: str) -> str:
    """What `pack` was given."""
    if not text.startswith(_MARK):
        return text
    return zlib.decompress(base64.b64decode(text[1:])).decode("utf-8", "surrogatepass")

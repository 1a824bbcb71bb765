"""Two texts of one recording, word by word: what differs, and whether it differs by more than chance. Pure.

May import: domain.

Modules, each may import only those below it:

    spans      where two texts agree and where they differ, as runs of words
    chance     whether one system makes fewer errors than another by more than chance
    alignment  which word of one text belongs to which word of the other
    tokens     the words (or characters) of a transcript that are compared
"""

__all__ = ["alignment", "chance", "spans", "tokens"]

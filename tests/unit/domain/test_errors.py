from __future__ import annotations

import re

from scrivano.domain import errors


def test_the_tree_shows_every_exception_below_the_one_that_it_extends() -> None:
    rows = [re.fullmatch(r"([│├└─ ]*)(\w+)( .*)?", line) for line in (errors.__doc__ or "").splitlines()]
    shown: dict[str, str] = {}
    above: list[str] = []
    for row in filter(None, rows):
        del above[len(row[1]) // 4 :]
        shown |= {row[2]: above[-1]} if above else {}
        above.append(row[2])
    defined = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ScrivanoError)
    }
    bases = {name: kind.__mro__[1].__name__ for name, kind in defined.items() if kind is not errors.ScrivanoError}

    assert shown == bases
    assert {*errors.__all__} == defined.keys() | {"NO_DISPATCHER"}

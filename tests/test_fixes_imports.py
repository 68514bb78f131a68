"""Where the imports of a fix go, when none is needed, and when a fix has to be left out because of them."""

from __future__ import annotations

import pytest
from pattern_analyser import Pattern, analyser

from safeboundary_lint.fixes import fix_file


def fixed(text: str, *imports: str) -> str:
    """`text` with `bad` replaced by `good`, which needs `imports`."""
    return fix_file("x.py", text.encode(), analyser(Pattern("SBL102", r"\bbad\b", "good", imports))).new_source.decode()


@pytest.mark.parametrize(
    "head",
    [
        "import time\n",
        "import os, time\n",
        "import os; import time\n",
        "try:\n    import time\nexcept ImportError:\n    time = None\n",
        "if FAST:\n    import time\nelse:\n    import slow as time\n",
        "import time\nif TYPE_CHECKING:\n    import os\n",
        "if not TYPE_CHECKING:\n    pass\nelse:\n    pass\nimport time\n",
    ],
)
def test_an_import_that_is_there_is_not_repeated(head: str) -> None:
    assert fixed(f"{head}\nbad\n", "import time") == f"{head}\ngood\n"


def test_names_of_a_from_import_count() -> None:
    assert fixed("from a import (b,\n  c)\nbad\n", "from a import c") == "from a import (b,\n  c)\ngood\n"
    assert fixed("from .a import b as c\nbad\n", "from .a import b as c") == "from .a import b as c\ngood\n"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("bad\n", "import time\n\ngood\n"),
        ("\n\nbad\n", "\n\nimport time\n\ngood\n"),
        ('"""doc"""\nbad\n', '"""doc"""\n\nimport time\n\ngood\n'),
        ('"""doc\n\nmore"""\n\n\ndef f():\n    bad\n', '"""doc\n\nmore"""\n\nimport time\n\n\ndef f():\n    good\n'),
        ("#!/usr/bin/env python\n# coding: utf-8\nbad\n", "#!/usr/bin/env python\n# coding: utf-8\nimport time\n\ngood\n"),
        ("# Copyright us\n# All rights\nbad\n", "# Copyright us\n# All rights\nimport time\n\ngood\n"),
        ("# Copyright us\n\n# about x\nbad\n", "# Copyright us\n\nimport time\n\n# about x\ngood\n"),
        ("@d\ndef f():\n    bad\n", "import time\n\n\n@d\ndef f():\n    good\n"),
        ("from __future__ import annotations\nx = 1\nbad\n", "from __future__ import annotations\n\nimport time\nx = 1\ngood\n"),
        (
            "from __future__ import annotations\n\nx = 1\nbad\n",
            "from __future__ import annotations\n\nimport time\n\nx = 1\ngood\n",
        ),
        (
            "from __future__ import annotations\n\nimport os\n\nbad\n",
            "from __future__ import annotations\n\nimport os\nimport time\n\ngood\n",
        ),
        ("import os\nimport zlib\n\nbad\n", "import os\nimport time\nimport zlib\n\ngood\n"),
        ("import os\nfrom abc import ABC\n\nbad\n", "import os\nimport time\nfrom abc import ABC\n\ngood\n"),
        ("from abc import ABC\nimport zlib\n\nbad\n", "from abc import ABC\nimport time\nimport zlib\n\ngood\n"),
        (
            "import os\n\nimport requests\n\nfrom .x import y\n\nbad\n",
            "import os\nimport time\n\nimport requests\n\nfrom .x import y\n\ngood\n",
        ),
        ("import requests\n\nbad\n", "import time\n\nimport requests\n\ngood\n"),
        ("# why\nimport zlib  # c\nbad\n", "import time\n# why\nimport zlib  # c\ngood\n"),
        (
            "import os\nsys.path.insert(0, x)\nimport requests\nbad\n",
            "import os\nimport time\nsys.path.insert(0, x)\nimport requests\ngood\n",
        ),
        ("if TYPE_CHECKING:\n    import time\n\nbad\n", "import time\n\nif TYPE_CHECKING:\n    import time\n\ngood\n"),
        (
            "import os\nif typing.TYPE_CHECKING:\n    import time\nbad\n",
            "import os\nimport time\nif typing.TYPE_CHECKING:\n    import time\ngood\n",
        ),
        ("def f():\n    import time\n    bad\n", "import time\n\n\ndef f():\n    import time\n    good\n"),
        ("import time as t\nbad\n", "import time\nimport time as t\ngood\n"),
        ("import os\nbad\nimport time\n", "import os\nimport time\ngood\nimport time\n"),
        ("import os\r\n\r\nbad", "import os\r\nimport time\r\n\r\ngood"),
        ("\f\nimport os\r\rbad", "\f\nimport os\rimport time\r\rgood"),
        ("import os\n\n\ndef f(): bad\n\n\nimport zlib\n", "import os\nimport time\n\n\ndef f(): good\n\n\nimport zlib\n"),
    ],
)
def test_a_new_import_stands_where_the_author_would_put_it(text: str, result: str) -> None:
    assert fixed(text, "import time") == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("from functools import wraps\nbad\n", "from functools import partial, wraps\ngood\n"),
        ("from functools import cache\nbad\n", "from functools import cache, partial\ngood\n"),
        ("from functools import cache, wraps  # c\nbad\n", "from functools import cache, partial, wraps  # c\ngood\n"),
        (
            "from functools import (\n    cache,\n    wraps,\n)\nbad\n",
            "from functools import (\n    cache,\n    partial,\n    wraps,\n)\ngood\n",
        ),
        ("from functools import (\n    cache,\n)\nbad\n", "from functools import (\n    cache, partial,\n)\ngood\n"),
        ("import functools\nbad\n", "import functools\nfrom functools import partial\ngood\n"),
    ],
)
def test_a_name_joins_the_statement_that_imports_its_neighbours(text: str, result: str) -> None:
    assert fixed(text, "from functools import partial") == result


def test_an_import_of_an_installed_package_stands_with_its_like() -> None:
    wanted = "from django.db import transaction"
    assert fixed("import os\n\nbad\n", wanted) == f"import os\n\n{wanted}\n\ngood\n"
    beside = "import os\n\nfrom django.apps import apps\n"
    assert fixed(f"{beside}\nbad\n", wanted) == f"{beside}{wanted}\n\ngood\n"
    assert fixed("import os\n\nfrom .a import b\n\nbad\n", wanted) == f"import os\n\n{wanted}\n\nfrom .a import b\n\ngood\n"


def test_several_imports_come_in_one_block_and_only_once() -> None:
    result = "import hmac\nimport os\nfrom functools import partial\n\ngood\ngood\n"
    assert fixed("bad\nbad\n", "import os", "from functools import partial", "import hmac", "import os") == result
    assert fixed("x = 1\nbad\n", "from a import c", "from a import b") == "from a import b, c\n\nx = 1\ngood\n"


@pytest.mark.parametrize(
    "text",
    [
        "from time import time\nbad\n",
        "import clock as time\nbad\n",
        "time = 1\nbad\n",
        "def time(): pass\nbad\n",
        "def f(time):\n    bad\n",
        "def f():\n    for time in x:\n        bad\n",
        "def f():\n    global time\n    time = 1\nbad\n",
        "f = lambda time: bad\n",
        "x = [bad for time in y]\n",
        "import time\ntime = time.time\nbad\n",
        "from time import *\nbad\n",
    ],
)
def test_a_fix_whose_import_means_something_else_there_is_left_out(text: str) -> None:
    outcome = fix_file("x.py", text.encode(), analyser(Pattern("SBL102", r"\bbad\b", "good", ("import time",))))
    assert outcome.new_source == text.encode()
    assert "`import time`" in outcome.problems[0].message and "time" in outcome.problems[0].message


@pytest.mark.parametrize(
    "head", ["def g(time): pass", "x.time = 1", "f(time=1)", "def g():\n    import time", "class C:\n    time = 1"]
)
def test_a_name_of_another_scope_is_in_nobodys_way(head: str) -> None:
    assert "good" in fixed(f"{head}\nbad\n", "import time")


def test_a_method_of_that_name_is_in_the_way_of_the_class_body_alone() -> None:
    head = "class C:\n    def time(self): pass\n"
    assert "good" in fixed(f"{head}    def g(self):\n        return bad\n", "import time")
    assert "good" not in fixed(f"{head}    x = bad\n", "import time")


@pytest.mark.parametrize("statement", ["x = 1", "from a import *", "import", "", "if x: pass"])
def test_what_is_no_import_is_refused_in_words(statement: str) -> None:
    outcome = fix_file("x.py", b"bad\n", analyser(Pattern("SBL102", "bad", "good", (statement,))))
    assert outcome.new_source == b"bad\n" and "SBL102" in outcome.problems[0].message

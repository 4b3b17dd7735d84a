"""The page runner notices what a reader would notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_page import main


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "```python\nraise ValueError\n```\n",
        "```python\nx = 1\n```\n\ntext\n\n```python\nassert x == 2\n```\n",
        "```python\nimport anyio\nawait anyio.sleep(0)\nassert False\n```\n",
        "```console\n$ false\n```\n",
        "```console\n$ echo 1\n2\n```\n",
        "```console\n$ echo 1; echo 2\n1\n```\n",
        "- item\n\n    ```console\n    $ exit 3\n    ```\n",
    ],
)
def test_a_block_that_does_not_do_what_the_page_says_is_noticed(tmp_path: Path, text: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        main(page(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = 1\n```\n\ntext\n\n```python\nassert x == 1\n```\n",
        "<!-- not run: it would not end -->\n```console\n$ false\n```\n",
        "```console\n$ echo 1; echo 2; echo 3\n1\n…\n$ echo abc\na…c\n$ exit 4\n# exit code 4\n```\n",
        "```text\nnot code\n```\n",
    ],
)
def test_a_block_that_does_what_the_page_says_passes(tmp_path: Path, text: str) -> None:
    main(page(tmp_path, text))

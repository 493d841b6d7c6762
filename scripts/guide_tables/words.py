"""The words that the code has about its own fields and constants."""

import ast
import inspect
import io
import textwrap
import tokenize


def field_words(owner: type) -> dict[str, str]:
    """Return the docstring under each field of a class, by the field's name; leave out those without one."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(words.value.value)
        for field, words in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(words, ast.Expr)
        and isinstance(words.value, ast.Constant)
        and isinstance(words.value.value, str)
    }


def member_words(source: str, name: str) -> dict[str, str]:
    """Return the comment beside each string on the right of `name = ...`, by the string."""
    lines = _lines_of(source, name)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    strings = [token for token in tokens if token.type == tokenize.STRING and token.start[0] in lines]
    return {
        str(ast.literal_eval(token.string)): comments.get(token.start[0], "#").removeprefix("#").strip()
        for token in strings
    }


def first_paragraph(docstring: str | None) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join(inspect.cleandoc(docstring or "").partition("\n\n")[0].split())


def _lines_of(source: str, name: str) -> range:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            assert node.end_lineno is not None
            return range(node.lineno, node.end_lineno + 1)
    raise LookupError(f"there is no {name} = ... at the top of the module")

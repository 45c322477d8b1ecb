"""Which names a function, class or comprehension has for itself, by its syntax tree."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterable

    Function = ast.FunctionDef | ast.AsyncFunctionDef
    Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def bound(*nodes: ast.AST) -> _Bindings:
    """What is bound in the nodes of a body: ``assigned``, ``other`` ways, ``declared_global``."""
    bindings = _Bindings()
    bindings.visit_all(nodes)
    return bindings


def declared(tree: ast.AST, kind: type[ast.Global | ast.Nonlocal]) -> set[str]:
    """The names in all statements ``global``, or ``nonlocal``, of a tree."""
    return {name for node in ast.walk(tree) if isinstance(node, kind) for name in node.names}


class _Bindings(ast.NodeVisitor):
    """Which names a body binds, and how; nested functions and classes have their own."""

    def __init__(self) -> None:
        self.assigned: set[str] = set()
        self.other: set[str] = set()
        self.declared_global: set[str] = set()

    def visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.assigned.add(node.id)

    def _definition(self, node: Function | ast.ClassDef) -> None:
        self.other.add(node.name)
        self.visit_all(node.decorator_list)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _definition  # noqa: N815 - the names are ast's

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_all(node.args.defaults)

    def _comprehension(self, node: Comprehension) -> None:
        # Its targets are its own; what `:=` in it binds is the function's.
        for inner in ast.walk(node):
            if isinstance(inner, ast.NamedExpr):
                self.assigned.add(inner.target.id)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815 - the names are ast's

    def visit_Global(self, node: ast.Global) -> None:
        self.declared_global.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.other.update(node.names)

    def visit_alias(self, node: ast.alias) -> None:
        self.other.add(node.asname or node.name.partition(".")[0])

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.assigned.add(node.name)
        self.generic_visit(node)

    def _capture(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            self.assigned.add(node.name)
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = _capture  # noqa: N815 - the names are ast's

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        if node.rest:
            self.assigned.add(node.rest)
        self.generic_visit(node)


@define
class Scope:
    """The names that a function, lambda or comprehension has for itself; a class shares none."""

    own: set[str]
    declared_global: set[str] = field(factory=set)
    is_class: bool = field(default=False, kw_only=True)


def parameters(args: ast.arguments) -> set[str]:
    """The names of a function's parameters."""
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    return {arg.arg for arg in every if arg is not None}


def type_parameters(node: ast.AST) -> set[str]:
    """The names of its type parameters, as of ``def f[T]()``."""
    return {parameter.name for parameter in getattr(node, "type_params", ())}

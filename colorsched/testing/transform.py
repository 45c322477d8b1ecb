"""Rewrites a module's syntax tree so that attributes, items and globals report their accesses."""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING, Any

from colorsched.testing.probes import IN_PLACE, METHODS
from colorsched.testing.scopes import Scope, bound, declared, parameters, type_parameters

if TYPE_CHECKING:
    from colorsched.testing.scopes import Comprehension, Function

#: The name by which instrumented code finds its own module.
MODULE = "@module"

#: Expressions whose value nobody else has.
_NEW = (ast.Constant, ast.Dict, ast.DictComp, ast.GeneratorExp, ast.List, ast.ListComp, ast.Set,
        ast.SetComp, ast.Tuple)  # fmt: skip

#: Names in reports are the source text, but not more of it than this.
_LONGEST_NAME = 60


def instrumented(tree: ast.Module, module: str) -> ast.Module:
    """The tree with a probe for each access. Lines, docstrings and annotations stay as they are.

    Args:
        tree: what ``ast.parse`` made of the source; it is changed.
        module: the module's name, for the names of its globals.

    """
    bindings = bound(*tree.body)
    variables = bindings.assigned | declared(tree, ast.Global)
    rewritten = _Rewriter(module, variables, declared(tree, ast.Nonlocal)).visit(tree)
    assert isinstance(rewritten, ast.Module)
    return ast.fix_missing_locations(rewritten)


class _Rewriter(ast.NodeTransformer):
    def __init__(self, module: str, variables: set[str], rebound: set[str]) -> None:
        self._module = module
        self._variables = variables
        self._rebound = rebound
        """Names that an inner function may bind to something else at any time."""
        self._scopes: list[Scope] = []
        self._classes: list[str] = []

    # -- making nodes --------------------------------------------------------------------------

    @staticmethod
    def _call(at: ast.AST, probe: str, *args: ast.expr | str) -> ast.Call:
        arguments = [ast.Constant(arg) if isinstance(arg, str) else arg for arg in args]
        call = ast.Call(ast.Name(f"@{probe}", ast.Load()), arguments, [])
        for node in (call, call.func, *(node for node in arguments if not hasattr(node, "lineno"))):
            ast.copy_location(node, at)
        return call

    @staticmethod
    def _text(node: ast.expr) -> str:
        text = ast.unparse(node)
        return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + "..."

    def _slot(self, at: ast.expr, probe: str, ctx: ast.expr_context, *args: Any) -> ast.expr:
        parts = [ast.Constant(arg) if isinstance(arg, str) else arg for arg in args]
        for part in parts:
            if not hasattr(part, "lineno"):
                ast.copy_location(part, at)
        call = self._call(at, probe, ast.copy_location(ast.Tuple(parts, ast.Load()), at))
        return ast.copy_location(ast.Attribute(call, "value", ctx), at)

    def _expression(self, node: ast.expr) -> ast.expr:
        rewritten = self.visit(node)
        assert isinstance(rewritten, ast.expr)
        return rewritten

    def _visit_all(self, nodes: list[Any]) -> None:
        nodes[:] = [node if node is None else self.visit(node) for node in nodes]

    def _mangled(self, name: str) -> str:
        """A private name as the compiler spells it in a class."""
        if not self._classes or not name.startswith("__") or name.endswith("__"):
            return name
        owner = self._classes[-1].lstrip("_")
        return f"_{owner}{name}" if owner else name

    # -- attributes and items ------------------------------------------------------------------

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        name = self._text(node)
        probe = "load" if isinstance(node.ctx, ast.Load) else "store"
        value = self._expression(node.value)
        node.value = self._call(node, probe, value, self._mangled(node.attr), name)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.ctx, ast.Load):
            return self._call(node, "get_item", *self._item(node))
        return self._slot(node, "ItemSlot", node.ctx, *self._item(node))

    def _item(self, node: ast.Subscript) -> tuple[ast.expr, ast.expr, str]:
        name = self._text(node.value)
        return self._expression(node.value), self._key(node.slice), name

    def _key(self, key: ast.expr) -> ast.expr:
        if isinstance(key, ast.Slice):
            bounds = [
                ast.copy_location(ast.Constant(None), key) if bound is None else self.visit(bound)
                for bound in (key.lower, key.upper, key.step)
            ]
            return self._call(key, "slice", *bounds)
        if isinstance(key, ast.Tuple):
            key.elts = [self._key(each) for each in key.elts]
            return key
        return self._expression(key)

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, ast.Subscript):
            # The value is evaluated first, as it stands here.
            value = self._expression(node.value)
            put = self._call(target, "put_item", value, *self._item(target))
            return ast.copy_location(ast.Expr(put), node)
        if len(node.targets) == 1 and isinstance(target, ast.Name) and self._is_global(target.id):
            value = self._expression(node.value)
            node.value = self._call(target, "store_global", value, *self._global(target))
            return node
        self.generic_visit(node)
        return node

    def _is_steady(self, node: ast.expr, beside: ast.expr) -> bool:
        """Whether an expression, evaluated again after another, gives the same, and no report."""
        if isinstance(node, ast.Name):
            walrus = (each.target for each in ast.walk(beside) if isinstance(each, ast.NamedExpr))
            rebound = self._rebound.union(target.id for target in walrus)
            return node.id not in rebound and not self._is_global(node.id)
        return isinstance(node, ast.Constant)

    def _in_place(self, node: ast.AugAssign) -> ast.Assign | None:
        """``a.b += c`` as ``a.b = iadd(a.b, c)``, which takes less time than a slot does."""
        old: Any = copy.deepcopy(node.target)
        if isinstance(old, ast.Name) or not self._is_steady(old.value, node.value):
            return None
        if isinstance(old, ast.Subscript) and not self._is_steady(old.slice, node.value):
            return None
        old.ctx = ast.Load()
        new = self._call(node.target, IN_PLACE[type(node.op)], old, node.value)
        return ast.copy_location(ast.Assign([node.target], new), node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        assignment = self._in_place(node)
        if assignment is not None:
            return self.visit_Assign(assignment)
        target: ast.expr = node.target
        slot: Any = target
        # What stands right of the operator may await: the write comes after it, the read before.
        if isinstance(target, ast.Attribute):
            name = self._text(target)
            owner = self._expression(target.value)
            part = self._mangled(target.attr)
            slot = self._slot(target, "AttributeSlot", target.ctx, owner, part, name)
        elif isinstance(target, ast.Subscript):
            slot = self._slot(target, "ItemSlot", target.ctx, *self._item(target))
        elif isinstance(target, ast.Name):
            slot = self.visit_Name(target)
        node.target = slot
        node.value = self._expression(node.value)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        if node.value is not None:
            target: Any = self.visit(node.target)
            node.target = target
            node.value = self._expression(node.value)
        return node

    # -- containers ----------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> ast.Call:
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr in METHODS:
            name = self._text(func.value)
            owner = self._expression(func.value)
            node.func = self._call(func, "method", owner, func.attr, name)
        else:
            node.func = self._expression(func)
        self._visit_all(node.args)
        self._visit_all(node.keywords)
        return node

    def _iterated(self, node: ast.expr) -> ast.expr:
        if isinstance(node, _NEW):
            return self._expression(node)
        name = self._text(node)
        return self._call(node, "iterate", self._expression(node), name)

    def visit_For(self, node: ast.For) -> ast.For:
        node.iter = self._iterated(node.iter)
        node.target = self._expression(node.target)
        self._visit_all(node.body)
        self._visit_all(node.orelse)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) > 1 or not isinstance(node.ops[0], (ast.In, ast.NotIn)):
            self.generic_visit(node)
            return node
        name = self._text(node.comparators[0])
        element = self._expression(node.left)
        found = self._call(node, "contains", element, self._expression(node.comparators[0]), name)
        if isinstance(node.ops[0], ast.In):
            return found
        return ast.copy_location(ast.UnaryOp(ast.Not(), found), node)

    # -- global variables ----------------------------------------------------------------------

    def _is_global(self, name: str) -> bool:
        # Only in functions: what runs as a module is imported runs before it is shared. Names in a
        # class body are the class's, or looked up as it is made.
        if not self._scopes or self._scopes[-1].is_class or name not in self._variables:
            return False
        for scope in reversed(self._scopes):
            if name in scope.declared_global:
                return True
            if name in scope.own:
                return False
        return True

    def _global(self, at: ast.Name) -> tuple[ast.expr, str, str]:
        module = ast.copy_location(ast.Name(MODULE, ast.Load()), at)
        return module, at.id, f"{self._module}.{at.id}"

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if not self._is_global(node.id):
            return node
        if isinstance(node.ctx, ast.Load):
            return self._call(node, "load_global", node, *self._global(node))
        return self._slot(node, "GlobalSlot", node.ctx, *self._global(node))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        value = self._expression(node.value)
        if self._is_global(node.target.id):
            value = self._call(node, "store_global", value, *self._global(node.target))
        node.value = value
        return node

    # -- scopes --------------------------------------------------------------------------------

    def _function(self, node: Function) -> Function:
        self._visit_all(node.decorator_list)
        self._defaults(node.args)
        bindings = bound(*node.body)
        own = bindings.assigned | bindings.other | parameters(node.args) | type_parameters(node)
        self._scopes.append(Scope(own, bindings.declared_global))
        self._visit_all(node.body)
        self._scopes.pop()
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function  # noqa: N815 - the names are ast's

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        self._defaults(node.args)
        bindings = bound(node.body)
        self._scopes.append(Scope(bindings.assigned | parameters(node.args)))
        node.body = self._expression(node.body)
        self._scopes.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self._visit_all(node.decorator_list)
        self._visit_all(node.bases)
        self._visit_all(node.keywords)
        self._classes.append(node.name)
        self._scopes.append(Scope(set(), is_class=True))
        self._visit_all(node.body)
        self._scopes.pop()
        self._classes.pop()
        return node

    def _comprehension(self, node: Comprehension) -> Comprehension:
        first = node.generators[0]
        # The first iterable is evaluated outside, before the targets exist.
        iterable = self._expression(first.iter) if first.is_async else self._iterated(first.iter)
        targets = bound(*(generator.target for generator in node.generators))
        inside = bool(self._scopes)
        if inside:
            self._scopes.append(Scope(targets.assigned))
        for generator in node.generators:
            if generator is not first:
                generator.iter = (
                    self._expression(generator.iter)
                    if generator.is_async
                    else self._iterated(generator.iter)
                )
            generator.target = self._expression(generator.target)
            self._visit_all(generator.ifs)
        if isinstance(node, ast.DictComp):
            node.key, node.value = self._expression(node.key), self._expression(node.value)
        else:
            node.elt = self._expression(node.elt)
        first.iter = iterable
        if inside:
            self._scopes.pop()
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension  # noqa: N815 - the names are ast's

    def _defaults(self, args: ast.arguments) -> None:
        self._visit_all(args.defaults)
        self._visit_all(args.kw_defaults)

    # -- what stays as it is -------------------------------------------------------------------

    def visit_match_case(self, node: ast.match_case) -> ast.match_case:
        # A pattern may hold dotted names only, so what those read goes unseen.
        if node.guard is not None:
            node.guard = self._expression(node.guard)
        self._visit_all(node.body)
        return node

    def visit_TypeAlias(self, node: ast.AST) -> ast.AST:
        return node

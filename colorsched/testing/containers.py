"""Proxies of the built-in containers, which report each access to their elements.

A proxy is a subclass of the container it stands for and behaves as that does. Containers put into
it become proxies too; the container given is copied, so what still holds it is not watched. What
is taken out as a copy (``copy()``, a slice, ``a + b``, a pickle) is a plain container again. Which
parts an access reports is in ``operations``.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

from colorsched.testing import mappings
from colorsched.testing.access import told_now
from colorsched.testing.mappings import COUNTER, DICT, VIEWS, keys_of
from colorsched.testing.operations import DEQUE, LIST, SET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from colorsched.testing.operations import Method, Table

#: Methods whose last argument is put in, whose first argument's items are, and whose mapping is.
_PUTS = {"__setitem__", "append", "appendleft", "insert", "setdefault"}
_PUTS_ITEMS = {"__iadd__", "extend", "extendleft"}
_PUTS_MAPPING = {"__ior__", "update"}

#: Methods that make a new container of this one.
_COPIES = {"__add__", "__copy__", "__mul__", "__or__", "__rmul__", "__ror__", "copy"}

#: Frequent methods of one argument: named, it costs less than any number.
_TAKES_ONE = {"__contains__", "__delitem__", "__getitem__", "add"}

#: Methods whose argument is the part that they read. So it is where they look whether a dict has a
#: key, once its value was read: who adds or removes it writes both parts.
_READS_PART: dict[type, set[str]] = {
    **{base: {"__contains__", "__getitem__"} for base in (dict, defaultdict, OrderedDict, Counter)},
    list: {"__getitem__"},
    set: {"__contains__"},
    deque: set(),
}

#: What each container's operations are.
TABLES: dict[type, Table] = {
    list: LIST,
    dict: DICT,
    defaultdict: {**DICT, "__copy__": mappings.dict_reads_all},
    OrderedDict: {**DICT, "move_to_end": mappings.dict_changes},
    Counter: COUNTER,
    set: SET,
    deque: DEQUE,
}

#: Methods that reach no element, or do so by other methods; all others are in ``TABLES``.
UNWATCHED = frozenset(
    {
        *("__class_getitem__", "__getattribute__", "__hash__", "__init__", "__new__", "__sizeof__"),
        *("__missing__", "__reduce__"),
        *("__dict__", "__doc__", "__module__", "__weakref__"),
        *("_keep_positive", "default_factory", "fromkeys", "maxlen"),
    }
)


def plain(container: Any) -> Any:
    """A plain container with the elements of a proxy; reports nothing, leaves nested ones alone."""
    base = _BASES.get(type(container))
    if base is None:
        return container
    if base is list:
        return list(list.__iter__(container))
    if base is set:
        return set(set.__iter__(container))
    if base is deque:
        return deque(deque.__iter__(container), container.maxlen)
    items = {key: dict.get(container, key) for key in keys_of(container)}
    if base is defaultdict:
        return defaultdict(container.default_factory, items)
    return base(items)


def wrap(value: Any, name: str) -> Any:
    """The proxy of a plain container, named ``name``; anything else is returned as it is.

    Only the built-in types themselves have proxies: a subclass may do anything in its methods.
    """
    if type(value) not in _PROXIES:
        return value
    return _wrap(value, name, {})


def _wrap(value: Any, name: str, made: dict[int, Any]) -> Any:
    base = type(value)
    if base not in _PROXIES:
        return value
    if id(value) in made:  # it is there twice, or contains itself
        return made[id(value)]
    proxy = _PROXIES[base].__new__(_PROXIES[base])
    proxy._name = name
    made[id(value)] = proxy
    inner = f"{name}[...]"
    if base is deque:
        deque.__init__(proxy, (), value.maxlen)
    elif base is defaultdict:
        defaultdict.__init__(proxy, value.default_factory)
    elif base is OrderedDict:
        OrderedDict.__init__(proxy)
    if base is list or base is deque:
        base.extend(proxy, [_wrap(item, inner, made) for item in value])
    elif base is set:
        set.update(proxy, value)
    else:
        # OrderedDict has its own, and its update would call the proxy's.
        put = OrderedDict.__setitem__ if base is OrderedDict else dict.__setitem__
        for key, item in value.items():
            put(proxy, key, _wrap(item, inner, made))
    return proxy


def is_proxy(value: object) -> bool:
    """Whether ``value`` is one of the proxies, which report accesses themselves."""
    return type(value) in _BASES


# -- the classes ------------------------------------------------------------------------------


def _adopt(method: str, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a method that puts elements in, with proxies for containers."""
    if not args:
        return args
    inner = f"{name}[...]"
    if method in _PUTS_MAPPING:
        return ({key: wrap(item, inner) for key, item in dict(args[0]).items()}, *args[1:])
    if method in _PUTS_ITEMS:
        return ([wrap(item, inner) for item in args[0]], *args[1:])
    if isinstance(args[0], slice):
        return (args[0], [wrap(item, inner) for item in args[1]])
    return (*args[:-1], wrap(args[-1], inner))


def _setting_item(original: Method, operation: Method) -> Method:
    def watched(self: Any, key: Any, value: Any, /) -> Any:
        if type(value) in _PROXIES or type(key) is slice:
            key, value = _adopt("__setitem__", self._name, (key, value))
        writes = told_now().writes
        try:
            known = writes and (id(self), key) in writes
        except TypeError:
            known = False  # not hashable: the operation says so, or it is a slice
        if known:
            return original(self, key, value)
        return operation(original, self, self._name, key, value)

    return watched


def _putting_one(method: str, original: Method, operation: Method) -> Method:
    def watched(self: Any, *args: Any) -> Any:
        if args and (type(args[-1]) in _PROXIES or type(args[0]) is slice):
            args = _adopt(method, self._name, args)
        return operation(original, self, self._name, *args)

    return watched


def _putting_many(method: str, original: Method, operation: Method) -> Method:
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            args = (dict(*args, **kwargs),)
        return operation(original, self, self._name, *_adopt(method, self._name, args))

    return watched


def _copying(original: Method, operation: Method) -> Method:
    def of_plain(self: Any, *args: Any) -> Any:
        return original(plain(self), *args)

    def watched(self: Any, *args: Any) -> Any:
        return operation(of_plain, self, self._name, *args)

    return watched


def _taking_one(original: Method, operation: Method) -> Method:
    def watched(self: Any, element: Any, /) -> Any:
        return operation(original, self, self._name, element)

    return watched


def _looking_up(original: Method, operation: Method) -> Method:
    def watched(self: Any, part: Any, /) -> Any:
        reads = told_now().reads
        try:
            known = reads and (id(self), part) in reads
        except TypeError:
            known = False  # not hashable: the operation says so, or it is a slice
        if known:
            return original(self, part)
        return operation(original, self, self._name, part)

    return watched


def _taking_any(original: Method, operation: Method) -> Method:
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        return operation(original, self, self._name, *args, **kwargs)

    return watched


def _plain_repr(self: Any) -> str:
    return repr(plain(self))


def _method(base: type, method: str, operation: Method) -> Method:
    original: Method = getattr(base, method)
    if method == "__repr__" and base not in {list, dict}:  # those don't show their class
        original = recursive_repr()(_plain_repr)
    holds_containers = base is not set and base is not Counter
    if method in _READS_PART[base]:
        watched = _looking_up(original, operation)
    elif method == "__setitem__" and base is not deque:
        watched = _setting_item(original, operation)
    elif method in _PUTS and holds_containers:
        watched = _putting_one(method, original, operation)
    elif method in _PUTS_ITEMS | _PUTS_MAPPING and holds_containers:
        watched = _putting_many(method, original, operation)
    elif method in _COPIES:
        watched = _copying(original, operation)
    elif method in _TAKES_ONE:
        watched = _taking_one(original, operation)
    else:
        watched = _taking_any(original, operation)
    watched.__name__ = method
    watched.__qualname__ = f"{base.__name__}.{method}"
    watched.__doc__ = original.__doc__
    return watched


def _init(base: Any) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - becomes a method
        self._name = base.__name__
        inner = f"{self._name}[...]"
        base.__init__(self, *args, **kwargs)
        if base is list or base is deque:
            for index, item in enumerate(list(base.__iter__(self))):
                base.__setitem__(self, index, wrap(item, inner))
        elif base is not set:
            for key in keys_of(self):
                dict.__setitem__(self, key, wrap(dict.get(self, key), inner))

    return __init__


def _reduce(base: type) -> Callable[..., tuple[Any, ...]]:
    def __reduce_ex__(self: Any, _protocol: object) -> tuple[Any, ...]:  # noqa: N807 - becomes a method
        # As a plain container, so that who reads the pickle need not have the kit.
        table = TABLES[base]
        if base is set:
            return set, (list(table["__iter__"](set.__iter__, self, self._name)),)
        if base is list or base is deque:
            size = () if base is list else ((), self.maxlen)
            return base, size, None, iter(list(iter(self)))
        factory = (self.default_factory,) if base is defaultdict else ()
        return base, factory, None, None, iter(list(self.items()))

    return __reduce_ex__


def _missing(self: Any, key: Any) -> Any:
    if self.default_factory is None:
        raise KeyError(key)
    self[key] = self.default_factory()
    return dict.__getitem__(self, key)


def _radd(self: Any, other: Any) -> Any:
    return [*other, *self] if isinstance(other, list) else NotImplemented


def _view(view: Method) -> Method:
    def watched(self: Any) -> Any:
        return view(self)

    return watched


def _proxy_type(base: type, table: Table) -> type:
    body: dict[str, Any] = {
        "__doc__": f"A {base.__name__} that reports accesses to its elements.",
        "__module__": __name__,
        "__init__": _init(base),
        "__reduce_ex__": _reduce(base),
    }
    if not base.__dictoffset__:
        body["__slots__"] = ("_name",) if base.__weakrefoffset__ else ("__weakref__", "_name")
    for method, operation in table.items():
        body[method] = _method(base, method, operation)
    if issubclass(base, dict):
        body.update((method, _view(view)) for method, view in VIEWS.items())
    if base is defaultdict:
        body["__missing__"] = _missing
    if base is list:
        body["__radd__"] = _radd
    return type(f"Shared{base.__name__.capitalize()}", (base,), body)


_PROXIES: dict[type, Any] = {base: _proxy_type(base, table) for base, table in TABLES.items()}
_BASES: dict[type, type] = {proxy: base for base, proxy in _PROXIES.items()}


def proxies() -> Iterator[tuple[type, type]]:
    """Each built-in container that has a proxy, and the proxy's class."""
    return iter(_PROXIES.items())

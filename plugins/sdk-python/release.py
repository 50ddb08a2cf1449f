"""Makes a component that componentize-py built release the bytes that it has handed over.

As of version 0.25.1, the runtime of componentize-py copies each ``list<u8>`` of a result or an argument into memory that it
never releases, so that a handler leaks every byte that it answers. All other lists are released, by a function that the glue
calls: the module that is generated from the contract and calls the runtime to get at the values. This adds a function to the
glue that fetches a list and has its bytes released at the end of the call as well, and has the glue call it where it fetched
lists before. https://github.com/bytecodealliance/componentize-py is where the code of the runtime is.
"""

CORE_MODULE = 1
TYPES, IMPORTS, FUNCTIONS, CODE = 1, 2, 3, 10
FETCH, RELEASE = b"wit_dylib_pop_list", b"wit_dylib_dealloc_bytes"
FETCH_TYPE, RELEASE_TYPE = b"\x60\x03\x7f\x7f\x7f\x01\x7f", b"\x60\x05\x7f\x7f\x7f\x7f\x7f\x00"


class Unsupported(Exception):
    """The component does not look like one of the version of componentize-py that this is for."""


def patch(component: bytes) -> bytes:
    """Returns the component with the function added to its glue. Raises `Unsupported` if it has no glue as expected."""
    out, patched = bytearray(component[:8]), 0
    for kind, content in _sections(component):
        if kind == CORE_MODULE and _imports(content).keys() >= {FETCH, RELEASE}:
            content, patched = _patch_glue(content), patched + 1
        out += _section(kind, content)
    if patched != 1:
        raise Unsupported(f"the component has {patched} modules of glue instead of 1")
    return bytes(out)


def _patch_glue(module: bytes) -> bytes:
    sections = dict(_sections(module))
    imports = _imports(module)
    types = _types(sections[TYPES])
    (fetch, fetch_type), (release, release_type) = imports[FETCH], imports[RELEASE]
    if types[fetch_type] != FETCH_TYPE or types[release_type] != RELEASE_TYPE:
        raise Unsupported("its runtime has other functions")
    # The functions of a module come after those that it imports.
    imported = 1 + max(index for index, _ in imports.values())
    added = imported + len(_vector(sections[FUNCTIONS], _skip_leb))
    bodies = [_redirect(body, fetch, added) for body in _vector(sections[CODE], _skip_body)]
    bodies.append(_fetch_and_release(fetch, release))
    replaced = {
        FUNCTIONS: _build([*_vector(sections[FUNCTIONS], _skip_leb), _leb(fetch_type)]),
        CODE: _build(bodies),
    }
    out = bytearray(module[:8])
    for kind, content in _sections(module):
        out += _section(kind, replaced.get(kind, content))
    return bytes(out)


def _fetch_and_release(fetch: int, release: int) -> bytes:
    """Returns the body of the function (context, type, address of a pointer) -> length, like the one that it calls: if that
    stores a pointer other than null, there is memory with as many bytes, which is released at the end of the call."""
    code = b"\x01\x02\x7f"  # two locals of 32 bits: 3 the length, 4 the pointer
    code += b"\x20\x00\x20\x01\x20\x02\x10" + _leb(fetch) + b"\x21\x03"  # length = fetch(context, type, address)
    code += b"\x20\x02\x28\x02\x00\x22\x04\x04\x40"  # pointer = *address; if pointer
    code += b"\x20\x00\x20\x04\x20\x03\x41\x01\x41\x01\x10" + _leb(release)  # release(context, pointer, length, 1, later)
    code += b"\x0b\x20\x03\x0b"  # end; length; end
    return _leb(len(code)) + code


def _redirect(body: bytes, old: int, new: int) -> bytes:
    """Returns a function's body with the calls of one function replaced by calls of another."""
    _, at = _read_leb(body, 0)
    start = at
    count, at = _read_leb(body, at)
    for _ in range(count):
        at = _skip_leb(body, at) + 1
    out = bytearray(body[start:at])
    while at < len(body):
        end = _skip_instruction(body, at)
        if body[at] == 0x10 and _read_leb(body, at + 1)[0] == old:
            out += b"\x10" + _leb(new)
        else:
            out += body[at:end]
        at = end
    return _leb(len(out)) + bytes(out)


#: The number of LEB128 numbers after an opcode, for the instructions that glue consists of.
_IMMEDIATES = {
    **dict.fromkeys([0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B], 0),
    **dict.fromkeys([0x02, 0x03, 0x04, 0x0C, 0x0D, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x41, 0x42, 0xD2], 1),
    **dict.fromkeys([0x3F, 0x40], 1),
    **dict.fromkeys([0x11, *range(0x28, 0x3F)], 2),
    **dict.fromkeys(range(0x45, 0xC5), 0),
}


def _skip_instruction(code: bytes, at: int) -> int:
    opcode = code[at]
    at += 1
    if opcode == 0x0E:  # br_table
        count, at = _read_leb(code, at)
        immediates = count + 1
    elif opcode == 0xFC:  # memory.copy and the like
        kind, at = _read_leb(code, at)
        immediates = {8: 2, 9: 1, 10: 2, 11: 1}.get(kind, 0)
    elif opcode in (0x43, 0x44):
        return at + (4 if opcode == 0x43 else 8)
    elif opcode in _IMMEDIATES:
        immediates = _IMMEDIATES[opcode]
    else:
        raise Unsupported(f"its glue has the instruction {opcode:#x}")
    for _ in range(immediates):
        at = _skip_leb(code, at)
    return at


def _sections(binary: bytes) -> list[tuple[int, bytes]]:
    """Returns the kind and the content of each section of a module or component."""
    sections, at = [], 8
    while at < len(binary):
        size, start = _read_leb(binary, at + 1)
        sections.append((binary[at], binary[start : start + size]))
        at = start + size
    return sections


def _section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + _leb(len(content)) + content


def _imports(module: bytes) -> dict[bytes, tuple[int, int]]:
    """Returns the index and the type of each function that a module imports, by its name."""
    content = dict(_sections(module)).get(IMPORTS, b"\0")
    imports: dict[bytes, tuple[int, int]] = {}
    functions = 0
    count, at = _read_leb(content, 0)
    for _ in range(count):
        size, at = _read_leb(content, at)
        namespace, at = content[at : at + size], at + size
        size, at = _read_leb(content, at)
        name, at = content[at : at + size], at + size
        kind, at = content[at], at + 1
        if kind == 0:
            of, at = _read_leb(content, at)
            imports[name if namespace == b"env" else namespace + b"#" + name] = (functions, of)
            functions += 1
        elif kind in (1, 2):  # a table or a memory: perhaps a type, and limits
            at += kind == 1
            flags, at = content[at], at + 1
            at = _skip_leb(content, at)
            at = _skip_leb(content, at) if flags & 1 else at
        else:  # a global: its type, and whether it can change
            at += 2
    return imports


def _types(content: bytes) -> list[bytes]:
    def skip(content: bytes, at: int) -> int:
        for _ in range(2):
            size, at = _read_leb(content, at + 1 if content[at] == 0x60 else at)
            at += size
        return at

    return _vector(content, skip)


def _vector(content: bytes, skip) -> list[bytes]:
    """Returns the entries of a vector; `skip` returns the end of an entry."""
    entries = []
    count, at = _read_leb(content, 0)
    for _ in range(count):
        end = skip(content, at)
        entries.append(content[at:end])
        at = end
    return entries


def _build(entries: list[bytes]) -> bytes:
    return _leb(len(entries)) + b"".join(entries)


def _skip_body(content: bytes, at: int) -> int:
    size, at = _read_leb(content, at)
    return at + size


def _skip_leb(content: bytes, at: int) -> int:
    while content[at] & 0x80:
        at += 1
    return at + 1


def _read_leb(content: bytes, at: int) -> tuple[int, int]:
    """Reads an unsigned LEB128 number. Returns it and the index after it."""
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def _leb(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])

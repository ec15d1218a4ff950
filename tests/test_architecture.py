"""Which room imports which: exactly what docs/architecture.md says, always downwards."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TRANSFORMERS_NAMES = (
    *("self_attn", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    *("input_layernorm", "post_attention_layernorm", "embed_tokens", "rotary_emb", "lm_head"),
    "variance_epsilon",
)
BLOCK = re.compile(r"## Arrows\n.*?```text\n(.*?)```", re.S)


def written():
    """Room -> the rooms it imports, in the document's order."""
    (block,) = BLOCK.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    lines = (line.split() for line in block.splitlines() if line.strip())
    return {room: set(imported) for room, *imported in lines}


def found():
    """The same, from the code. A module beside the packages is a room of its own."""
    rooms = {}
    for path in sorted((ROOT / "swarmd").rglob("*.py")):
        room = path.relative_to(ROOT / "swarmd").parts[0].removesuffix(".py")
        if room != "__init__":
            rooms.setdefault(room, set()).update(imports(path) - {room})
    return rooms


def imports(path):
    """The names after `swarmd.` in all imports of a file, within functions and for type checking too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "swarmd":
            # `swarmd.__version__` belongs to no room.
            modules.update(f"swarmd.{alias.name}" for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide the room"
            modules.add(node.module)
    return {module.split(".")[1] for module in modules if module.startswith("swarmd.")}


def test_the_arrows_are_those_of_the_document():
    assert found() == written()


def test_every_arrow_points_downwards_so_that_there_is_no_circle():
    below = set()
    for room, imported in written().items():
        assert imported <= below, f"{room} imports {imported - below}, which stand above it"
        below.add(room)


def test_every_room_is_in_the_table_of_folders():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (ROOT / "swarmd").glob("*/__init__.py")}
    assert {room for room in packages if f"`swarmd/{room}/`" not in text} == set()


def test_only_one_file_knows_the_names_of_transformers_modules():
    names = re.compile(rf"\b({'|'.join(TRANSFORMERS_NAMES)})\b")
    knowing = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "swarmd").rglob("*.py"))
        if names.search(path.read_text(encoding="utf-8"))
    ]
    assert knowing == ["swarmd/llama/reading.py"]

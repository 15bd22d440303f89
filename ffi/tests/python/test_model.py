"""Opening, describing, closing and pickling a model, and the library's refusals."""

import copy
import ctypes
import ctypes.util
import os
import pickle
import re
import shutil
from pathlib import Path

import pytest
import tickfuse
from conftest import ROOT, Case
from tickfuse import BundleError, BundleReadError, ClosedError, LibraryError, Model, OptionError, SystemRefusedError, _library

# Handles in the caller's memory; what the schema's JSON or the size of an array says too; fast handles, whose call costs ctypes
# as much as a prepared one does.
UNUSED = re.compile(r"\w+_(size|align|init)|model_(input|output|arrival)|streams_n_symbols|sliding_n_windows|(fast|flush_denormals)_\w+")
HOSTILE = ROOT / "fixtures" / "hostile"


def test_a_model_says_what_rust_says(case: Case) -> None:
    model = Model(case.path)
    for key in ("hash", "level", "lookback", "n_rows"):
        assert getattr(model, key) == case.said[key], key
    assert list(model.schema.output_names) == case.said["output_names"]
    assert len(model.schema.output_units) == len(case.said["output_names"]) == model.n_outputs
    assert model.n_features == len(model.inputs) == case.windows.shape[2]
    assert model.path == case.path


def test_the_schema_is_read_in_full(cases: dict[str, Case]) -> None:
    dated, tft = (Model(cases[name].path) for name in ("lstm_dated", "tft"))
    schema = dated.schema
    assert (schema.family, schema.precision, schema.arrival) == ("lstm", "f32", "pre_rolled")
    assert (schema.bar_interval_ns, schema.horizon, schema.target) == (60_000_000_000, 5, "close[t+5] > close[t]")
    assert schema.provenance == {"seed": 7}
    assert [(i.name, i.role, i.missing) for i in dated.inputs] == [
        ("x0", "observed", "reject"),
        ("x1", "observed", "center"),
        ("x2", "observed", "reject"),
    ]
    assert dated.inputs[1].scaler == tickfuse.Scaler(0.5, 2.0)
    assert [(o.name, o.kind, o.labels, o.unit) for o in dated.outputs] == [("y", "softmax", ("a", "b", "c"), "one")]
    assert (tft.inputs[0].categories, tft.inputs[0].unknown, tft.inputs[0].role) == (("a", "b", "c"), 1, "static")
    assert tft.schema.n_steps == 3
    assert Model(cases["lstm_bars"].path).inputs[0].feature == "close"


def test_the_card_shows_what_matters_and_escapes_it(cases: dict[str, Case], tmp_path: Path) -> None:
    model = Model(cases["lstm_dated"].path)
    card = model._repr_html_()
    for text in ("small", model.hash, model.level, "7 rows", "close[t+5] &gt; close[t]", "5 bars", "60 s", "y.b", "x1"):
        assert text in card, text
    assert "7 rows and" not in card and "5 rows and 3 ahead" in Model(cases["tft"].path)._repr_html_()
    assert model.hash[:8] in repr(model) and str(model.path) in repr(model)


def test_closing_twice_is_fine_and_use_after_it_is_not(lstm: Case) -> None:
    with Model(lstm.path) as model:
        session, stream = model.session(), model.stream()
    assert model.closed
    model.close()
    assert model.hash == lstm.said["hash"]
    assert session.predict(lstm.windows[0]).values.tolist() == lstm.answers[0].tolist()
    assert stream.push(lstm.windows[0][0]).answer is None
    for use in (model.session, model.stream, model.__enter__, lambda: pickle.dumps(model), lambda: model.context_shape):
        with pytest.raises(ClosedError, match="model `small`: used after it was closed"):
            use()


def test_a_pickle_is_path_and_hash(lstm: Case) -> None:
    model = Model(lstm.path, level="portable", copied=True)
    again = pickle.loads(pickle.dumps(model))
    assert (again.hash, again.level, again.path) == (model.hash, "portable", model.path)
    assert len(pickle.dumps(model)) < 1000
    assert copy.deepcopy(model) is copy.copy(model) is model
    with pytest.raises(TypeError, match="cannot be pickled; pickle its model"):
        pickle.dumps(model.session())


def test_a_pickle_refuses_another_model_at_its_path(cases: dict[str, Case], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(cases["lstm_f32"].path, path)
    pickled = pickle.dumps(Model(path))
    os.replace(shutil.copy(cases["lstm_dated"].path, tmp_path / "other"), path)
    expected, found = (cases[name].said["hash"] for name in ("lstm_f32", "lstm_dated"))
    with pytest.raises(BundleError, match=f"{path}: expected the model with hash {expected}, found {found}"):
        pickle.loads(pickled)


def test_a_model_from_memory_has_no_path_to_pickle(lstm: Case) -> None:
    model = Model.from_bytes(lstm.path.read_bytes())
    assert model.path is None and "from memory" in repr(model)
    with pytest.raises(TypeError, match="opened from memory"):
        pickle.dumps(model)


def test_an_alias_is_followed_once(lstm: Case, tmp_path: Path) -> None:
    version = tmp_path / "0001"
    version.mkdir()
    shutil.copy(lstm.path, version / "model.safetensors")
    (tmp_path / "best").symlink_to("0001")
    model = Model(tmp_path / "best")
    assert model.path == (version / "model.safetensors").resolve()
    (tmp_path / "best").unlink()
    assert pickle.loads(pickle.dumps(model)).hash == model.hash


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleReadError, match=r"nowhere\.safetensors: No such file") as e:
        Model(tmp_path / "nowhere.safetensors")
    assert e.value.status == 200
    assert isinstance(e.value, OSError)
    assert pickle.loads(pickle.dumps(e.value)).status == 200


def test_every_hostile_file_is_a_bundle_error_with_the_librarys_text(built: Path) -> None:
    files = sorted(HOSTILE.glob("*.safetensors"))
    assert len(files) > 40
    for file in files:
        for open_ in (Model, lambda f: Model.from_bytes(f.read_bytes())):
            with pytest.raises(BundleError) as e:
                open_(file)
            assert 200 <= (e.value.status or 0) < 300 and str(e.value), file.name


def test_checks_can_be_declined(built: Path) -> None:
    for name, wishes in [
        ("hash_of_other_content", {"check_hash": False, "check_golden": False}),
        ("golden_other_output", {"check_golden": False}),
    ]:
        with pytest.raises(BundleError):
            Model(HOSTILE / f"{name}.safetensors")
        Model(HOSTILE / f"{name}.safetensors", **wishes).close()


def test_options_are_checked(lstm: Case) -> None:
    with pytest.raises(OptionError, match="level: expected one of portable, avx2, avx512, avx512bf16 or None, found 'sse'"):
        Model(lstm.path, level="sse")
    with pytest.raises(OptionError, match="path: expected no zero byte"):
        Model(f"{lstm.path}\0")
    with pytest.raises(OptionError, match="data: expected contiguous bytes"):
        Model.from_bytes(memoryview(b"abcd")[::2])
    with pytest.raises(BundleError):
        Model.from_bytes(b"")


def test_the_weights_are_touched_and_the_system_may_be_asked_for_more(case: Case) -> None:
    mapped, in_memory = Model(case.path), Model.from_bytes(case.path.read_bytes())
    assert mapped.prefault() >= case.path.stat().st_size - 4096
    assert in_memory.prefault() >= case.path.stat().st_size - 4096
    with pytest.raises(SystemRefusedError, match="memory"):
        in_memory.lock_in_memory()
    mapped.close()
    for question in (mapped.prefault, mapped.lock_in_memory, mapped.advise_huge_pages):
        with pytest.raises(ClosedError):
            question()


def test_every_function_of_the_header_is_declared_with_its_parameters() -> None:
    header = (ROOT / "ffi" / "include" / "tickfuse.h").read_text()
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    found = re.findall(r"^([\w ]+?[ *]+)tickfuse_(\w+)\(([^)]*)\) TICKFUSE_NOEXCEPT", text, flags=re.MULTILINE)
    found = [(result, name, parameters) for result, name, parameters in found if not UNUSED.fullmatch(name)]
    assert {name for _, name, _ in found} == set(_library.FUNCTIONS)
    for result, name, parameters in found:
        returns, takes = _library.FUNCTIONS[name]
        assert returns is c_type(result), name
        expected = (
            []
            if parameters == "void"
            else [c_type(p.strip().rsplit(" ", 1)[0] + "*" * p.count("*")) for p in parameters.split(",")]
        )
        assert len(takes) == len(expected), name
        for taken, wanted in zip(takes, expected, strict=True):
            is_pointer = taken is ctypes.c_char_p or hasattr(taken, "contents")
            assert taken is wanted or (wanted is ctypes.c_void_p and is_pointer), (name, taken)


def c_type(text: str) -> object:
    """What ctypes calls a type of the header; all pointers but to text are addresses."""
    words = text.replace("const", "").split()
    if "*" in text:
        return ctypes.c_char_p if "const char" in text else ctypes.c_void_p
    names = {"size_t": "c_size_t", "uint32_t": "c_uint32", "tickfuse_status": "c_int32"}
    return None if words[0] == "void" else getattr(ctypes, names[words[0]])


def test_structures_and_numbers_are_those_of_the_header() -> None:
    header = (ROOT / "ffi" / "include" / "tickfuse.h").read_text()

    def defined(name: str) -> int:
        found = re.search(rf"#define TICKFUSE_{name} (\w+)", header)
        assert found, name
        return int(found[1], 0)

    assert defined("ABI_VERSION") == _library.ABI_VERSION
    for name in (
        "HASH_SIZE",
        "OPEN_COPIED",
        "OPEN_DECLINE_HASH",
        "OPEN_DECLINE_GOLDEN",
        "STEP_ANSWER",
        "MAX_DIMS",
        "NAME_SIZE",
    ):
        assert defined(name) == getattr(_library, name), name
    for flag in tickfuse.Flags:
        assert defined(f"FLAG_{flag.name}") == flag
    for name, structure in [
        ("open_options", _library.OpenOptions),
        ("bar", _library.Bar),
        ("step", _library.Step),
        ("interpretation", _library.Interpretation),
    ]:
        body = re.search(rf"typedef struct tickfuse_{name} {{(.*?)}} tickfuse_{name};", header, flags=re.DOTALL)
        assert body, name
        fields = re.findall(r"(\w+)(?:\[\w+\])?;", re.sub(r"/\*.*?\*/", "", body[1]))
        assert [field for field, _ in structure._fields_] == fields


def test_a_library_that_is_missing_or_another_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = _library.library.__wrapped__
    monkeypatch.setenv(_library.ENVIRONMENT, str(tmp_path / "none.so"))
    with pytest.raises(LibraryError, match=r"none\.so: the shared library was not loaded .*cargo build -p tickfuse-ffi"):
        load()
    monkeypatch.setenv(_library.ENVIRONMENT, ctypes.util.find_library("m") or "")
    with pytest.raises(LibraryError, match="expected the Tickfuse library, found none of its functions"):
        load()


def test_a_library_of_another_interface_is_refused(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = _library.library.__wrapped__
    load()
    for version in (_library.ABI_VERSION + 1, _library.ABI_VERSION + 0x10000):
        monkeypatch.setattr(_library, "ABI_VERSION", version)
        with pytest.raises(LibraryError, match=f"expected interface {version >> 16}.{version & 0xFFFF} or a later minor"):
            load()

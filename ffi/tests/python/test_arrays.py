"""Arrays that the library cannot read in place are refused with what was expected and what was found."""

import pickle

import numpy as np
import pytest
from conftest import ROOT, Case
from tickfuse import ArrayError, BusyError, ClosedError, Flags, Model, NonFiniteError, OptionError, Session, ShapeError


@pytest.fixture
def session(lstm: Case) -> Session:
    return Model(lstm.path).session()


def test_other_types_are_named(session: Session, lstm: Case) -> None:
    wanted = "window: expected a float32 or float64 array of shape [7, 3], found "
    for data, found in [
        (lstm.windows[0].astype(np.int64), "int64 of shape [7, 3]"),
        (lstm.windows[0].astype(np.float16), "float16 of shape [7, 3]"),
        (lstm.windows[0].tolist(), "builtins.list"),
        (None, "builtins.NoneType"),
    ]:
        with pytest.raises(ArrayError) as e:
            session.predict(data)
        assert str(e.value) == wanted + found
        assert isinstance(e.value, TypeError)


def test_foreign_byte_order_is_refused(session: Session, lstm: Case) -> None:
    with pytest.raises(ArrayError, match="its byte order is foreign"):
        session.predict(lstm.windows[0].astype(">f4"))


def test_other_shapes_are_named(session: Session, lstm: Case) -> None:
    for data in (lstm.windows[0, :-1], lstm.windows[0, :, :2], lstm.windows[0].ravel(), lstm.windows, lstm.windows[0].T):
        with pytest.raises(ShapeError) as e:
            session.predict(data)
        sizes = ", ".join(map(str, data.shape))
        assert str(e.value) == f"window: expected a float32 or float64 array of shape [7, 3], found shape [{sizes}]"
    with pytest.raises(ShapeError, match=r"windows: expected .* of shape \[n, 7, 3\], found shape \[7, 3\]"):
        session.predict_batch(lstm.windows[0])
    with pytest.raises(ShapeError, match=r"series: expected .* of shape \[n, 3\], found shape \[12, 7, 3\]"):
        session.predict_series(lstm.windows)
    with pytest.raises(ShapeError, match="series: expected at least 7 rows, found 6"):
        session.predict_series(lstm.windows[0, :6])


def test_other_layouts_are_named_and_the_way_out_too(session: Session, lstm: Case) -> None:
    transposed = np.asfortranarray(lstm.windows[0])
    with pytest.raises(ArrayError, match=r"expected a C-contiguous .* found strides \[4, 28\] in bytes; np.ascontiguousarray"):
        session.predict(transposed)
    with pytest.raises(ArrayError, match="expected a C-contiguous"):
        session.predict_batch(np.asfortranarray(lstm.windows))
    shifted = np.frombuffer(b"\0" + lstm.windows[0].tobytes(), np.uint8)[1:].view(np.float32).reshape(7, 3)
    if not shifted.flags.aligned:
        with pytest.raises(ArrayError, match="expected an aligned"):
            session.predict(shifted)


def test_outputs_are_checked_likewise(session: Session, lstm: Case) -> None:
    window = lstm.windows[0]
    with pytest.raises(ArrayError, match=r"out: expected a float32 array of shape \[3\], found float64"):
        session.predict(window, np.empty(3))
    with pytest.raises(ShapeError, match=r"out: expected a float32 array of shape \[3\], found shape \[4\]"):
        session.bind(window, np.empty(4, np.float32))
    locked = np.empty(3, np.float32)
    locked.flags.writeable = False
    with pytest.raises(ArrayError, match="found a read-only one"):
        session.predict(window, locked)
    with pytest.raises(ArrayError, match="out: expected a C-contiguous"):
        session.predict_batch(lstm.windows, np.empty((3, 12), np.float32).T)


def test_a_refused_value_is_named_by_window_row_and_column(session: Session, lstm: Case) -> None:
    windows = np.nan_to_num(lstm.windows)
    windows[9, 4, 2] = np.inf
    before = np.full(3, 7, np.float32)
    with pytest.raises(NonFiniteError) as e:
        session.predict(windows[9], before)
    assert str(e.value) == "input: window 0, row 4, column 2 (`x2`) is NaN or infinite"
    assert e.value.status == 302
    assert (before == 7).all()
    with pytest.raises(NonFiniteError, match=r"window 0, row 4, column 2 \(`x2`\)"):
        session.bind(windows[9])()
    for source in (windows, np.lib.stride_tricks.as_strided(windows, windows.shape, windows.strides)[::1], windows[::-1]):
        place = 2 if source.strides[0] < 0 else 9
        for max_batch in (1, 4, 12):
            with pytest.raises(NonFiniteError, match=rf"window {place}, row 4, column 2 \(`x2`\)"):
                session.model.session(max_batch).predict_batch(source)


def test_answers_carry_names_units_and_flags(session: Session, lstm: Case) -> None:
    answer = session.predict(lstm.windows[1])
    assert answer.names == ("y.a", "y.b", "y.c")
    assert answer.units == ("one",) * 3
    assert answer.flags == Flags.IMPUTED
    assert answer["y.b"] == pytest.approx(float(answer.values[1]))
    assert answer.to_dict() == dict(zip(answer.names, answer.values.tolist(), strict=True))
    assert "y.b=" in repr(answer) and repr(answer).endswith("; IMPUTED)")
    assert ">y.b</td>" in answer._repr_html_() and "IMPUTED" in answer._repr_html_()
    np.testing.assert_array_equal(np.asarray(answer), answer.values)
    with pytest.raises(KeyError, match="expected one of y.a, y.b, y.c, found z"):
        answer["z"]
    with pytest.raises(TypeError, match="expected one output, found 3"):
        float(answer)


def test_steps_of_several_columns_have_names_of_their_own(tft: Case) -> None:
    answers = Model(tft.path).session().predict_batch(tft.windows)
    assert answers.names[:4] == ("y.y0@1", "y.y1@1", "y.y2@1", "y.y0@2")
    np.testing.assert_array_equal(answers["y.y0@2"], tft.answers[:, 3])
    assert len(list(answers)) == len(answers) == 12


def test_sizes_of_a_session_are_checked(lstm: Case) -> None:
    model = Model(lstm.path)
    for max_batch in (0, -1, 1.0, None):
        with pytest.raises(OptionError, match="max_batch: expected a number from 1, found"):
            model.session(max_batch)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="max_batch: expected 1 to 65536, found 65537"):
        model.session(65537)


def test_a_closed_session_says_so_wherever_it_is_used(lstm: Case) -> None:
    session = Model(lstm.path).session()
    bound = session.bind(lstm.windows[0])
    with session as same:
        assert same is session and not session.closed
    session.close()
    assert session.closed
    for use in (
        lambda: session.predict(lstm.windows[0]),
        lambda: session.predict_batch(lstm.windows),
        lambda: session.predict_batch(lstm.windows[:0]),
        lambda: session.predict_series(lstm.windows[0]),
        lambda: session.bind(lstm.windows[0]),
        bound,
        session.__enter__,
    ):
        with pytest.raises(ClosedError, match="session of `small`: used after it was closed"):
            use()


def test_what_comes_out_travels_with_its_names_and_units(lstm: Case) -> None:
    model = Model(lstm.path)
    streams = model.streams(["A", "B"])
    rows = np.ascontiguousarray(np.repeat(lstm.windows[0][:1], 2, axis=0))
    for made in (
        model.session().predict(lstm.windows[0]),
        model.session().predict_series(np.concatenate(list(lstm.windows))),
        streams.push_all(rows),
    ):
        again = pickle.loads(pickle.dumps(made))
        assert again.names == made.names and again.units == made.units and repr(again.flags) == repr(made.flags)
        np.testing.assert_array_equal(again.values, made.values)
    step = pickle.loads(pickle.dumps(model.stream().push(lstm.windows[0][0])))
    assert step.answer is None and step.remaining == 6


def test_cards_show_both_ends_of_long_lists(lstm: Case) -> None:
    model = Model(lstm.path)
    answers = model.session().predict_series(np.concatenate(list(lstm.windows)))
    card = answers._repr_html_()
    assert card.count("<tr>") == 12 and f"{len(answers)} answers" in card and "y.b [one]" in card
    streams = model.streams(["<A>", "B"])
    steps = streams.push_all(np.ascontiguousarray(np.repeat(lstm.windows[0][:1], 2, axis=0)))
    assert "&lt;A&gt;" in steps._repr_html_() and "2 symbols, of which 2 wait for rows" in steps._repr_html_()


def test_every_status_of_the_header_has_an_exception_of_its_block() -> None:
    from tickfuse.errors import BundleError, DefectError, RunError, TickfuseError, kind_of

    header = (ROOT / "ffi" / "include" / "tickfuse.h").read_text()
    lines = [line.split() for line in header.splitlines() if line.startswith("#define TICKFUSE_ERR_")]
    numbers = {words[1]: int(words[2]) for words in lines}
    assert len(numbers) >= 30
    for name, number in numbers.items():
        kind = kind_of(number)
        expected = {2: BundleError, 3: (RunError, ShapeError), 9: DefectError}.get(number // 100, TickfuseError)
        assert issubclass(kind, expected) and kind is not TickfuseError, name
    assert kind_of(106) is BusyError
    assert kind_of(298) is BundleError
    assert kind_of(700) is TickfuseError

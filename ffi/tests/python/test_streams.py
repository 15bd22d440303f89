"""Sets of streams: each symbol is as a stream of its own, whatever happens to the others."""

import pickle

import numpy as np
import pytest
from conftest import Case
from tickfuse import (
    ArrayError,
    Bar,
    BusyError,
    CategoryError,
    ClosedError,
    Model,
    NonFiniteError,
    OptionError,
    ShapeError,
    StreamSet,
)

SYMBOLS = ("BTC", "ETH", "SOL")


@pytest.fixture
def rows(lstm: Case) -> np.ndarray:
    """28 rows of each symbol, `[28, 3, 3]`."""
    return np.concatenate(list(lstm.windows)).reshape(28, 3, 3).copy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_all_give_what_streams_give(lstm: Case, rows: np.ndarray, dtype: type) -> None:
    model = Model(lstm.path)
    together, alone = model.streams(SYMBOLS), [model.stream() for _ in SYMBOLS]
    assert together.symbols == SYMBOLS and len(together) == 3 and together.model is model
    for t, row in enumerate(rows.astype(dtype)):
        peeked, steps = together.peek_all(row), together.push_all(row)
        assert steps.names == model.schema.output_names and steps.units == model.schema.output_units
        for i, stream in enumerate(alone):
            step = stream.push(row[i])
            assert steps.has_answer[i] == (step.answer is not None) == (t >= 6)
            assert steps.remaining[i] == step.remaining
            answer = steps.answer(SYMBOLS[i])
            if step.answer is None or answer is None:
                assert answer is None and np.isnan(steps.values[i]).all()
                continue
            assert answer.flags == step.answer.flags
            for found in (steps, peeked):
                np.testing.assert_array_equal(found.values[i], step.answer.values)
        if t % 2:
            together.prepare()
        while t % 5 == 1 and not together.prepare_some(3):
            pass


def test_symbols_move_on_their_own(lstm: Case, rows: np.ndarray) -> None:
    model = Model(lstm.path)
    together, one = model.streams(SYMBOLS), model.stream()
    for row in rows[:10, 0]:
        step = one.push(row)
        peeked, found = together.peek("ETH", row), together.push("ETH", row)
        for answer in (peeked.answer, found.answer):
            assert (answer is None) == (step.answer is None)
            if answer is not None and step.answer is not None:
                np.testing.assert_array_equal(answer.values, step.answer.values)
    assert [together.remaining(s) for s in SYMBOLS] == [7, 1, 7]
    steps = together.push_all(rows[11])
    assert steps.has_answer.tolist() == [False, True, False]
    together.reset("ETH")
    assert [together.remaining(s) for s in SYMBOLS] == [6, 7, 6]
    together.reset()
    assert [together.remaining(s) for s in SYMBOLS] == [7, 7, 7]


def test_bars_of_symbols_and_their_categories(cases: dict[str, Case]) -> None:
    model = Model(cases["lstm_bars"].path)
    together, one = model.streams(["A", "B"]), model.stream()
    together.max_missing_bars = one.max_missing_bars = 2
    for i in range(40):
        bar = Bar(i * 60_000_000_000, 10 + i, 11 + i, 9 + i, 10.5 + i, 5.0)
        step, peeked, found = one.push_bar(bar), together.peek_bar("B", bar), together.push_bar("B", bar)
        assert found.ts_ns == peeked.ts_ns == bar.ts_ns and found.remaining == step.remaining
        if step.answer is not None and found.answer is not None:
            np.testing.assert_array_equal(found.answer.values, step.answer.values)
    assert together.max_missing_bars == 2 and one.push_bar(bar._replace(ts_ns=bar.ts_ns + 1)).answer is not None
    with pytest.raises(CategoryError):
        together.set_category("A", "symbol", "A")
    dated = Model(cases["tft_bars"].path)
    labels = next((i for i in dated.inputs if i.categories is not None), None)
    if labels is not None and labels.categories is not None:
        named = dated.streams(labels.categories[:2], category=labels.name)
        assert named.set_category(labels.categories[0], labels.name, labels.categories[1])


def test_a_state_goes_from_one_kind_to_the_other_and_a_set_travels(lstm: Case, rows: np.ndarray) -> None:
    model = Model(lstm.path)
    together = model.streams(SYMBOLS)
    for row in rows[:9]:
        together.push_all(row)
    one, other = model.stream(), model.streams(2)
    one.restore(together.save("SOL"))
    other.restore("1", one.save())
    travelled = pickle.loads(pickle.dumps(together))
    assert travelled.symbols == SYMBOLS
    expected = together.push_all(rows[9])
    step = one.push(rows[9, 2])
    assert step.answer is not None
    np.testing.assert_array_equal(step.answer.values, expected.values[2])
    np.testing.assert_array_equal(other.push_all(rows[9, [0, 2]]).values[1], expected.values[2])
    np.testing.assert_array_equal(travelled.push_all(rows[9]).values, expected.values)


def test_a_bound_push_follows_its_array(lstm: Case, rows: np.ndarray) -> None:
    model = Model(lstm.path)
    for dtype in (np.float32, np.float64):
        together, plain, row = model.streams(SYMBOLS), model.streams(SYMBOLS), np.empty((3, 3), dtype)
        bound = together.bind(row)
        for t, values in enumerate(rows):
            row[:] = values
            expected = plain.push_all(values)
            assert bound() == (3 if t >= 6 else 0)
            np.testing.assert_array_equal(bound.out, expected.values)
            np.testing.assert_array_equal(bound.steps["flags"], expected.flags)


def test_a_refused_row_of_one_symbol_takes_none(lstm: Case, rows: np.ndarray) -> None:
    together = Model(lstm.path).streams(SYMBOLS)
    together.push_all(rows[0])
    wrong = rows[1].copy()
    wrong[1, 2] = np.inf
    with pytest.raises(NonFiniteError, match=r"symbol 1 \(`ETH`\): .*column 2 \(`x2`\)"):
        together.push_all(wrong)
    assert [together.remaining(s) for s in SYMBOLS] == [6, 6, 6]


def test_misuse_is_refused_by_name(lstm: Case, rows: np.ndarray) -> None:
    model = Model(lstm.path)
    for symbols in (0, [], ["A", "A"], "BTC"):
        with pytest.raises(OptionError, match="symbols: expected"):
            model.streams(symbols)
    together = model.streams(SYMBOLS)
    with pytest.raises(OptionError, match="symbol: expected one of BTC, ETH, SOL, found 'DOGE'"):
        together.push("DOGE", rows[0, 0])
    with pytest.raises(ShapeError, match=r"rows: expected .* of shape \[3, 3\], found shape \[2, 3\]"):
        together.push_all(rows[0, :2])
    with pytest.raises(ArrayError, match="out: expected a float32 array"):
        together.push_all(rows[0], np.empty((3, 3)))
    bound = together.bind(rows[0])
    with together as same:
        assert same is together
    for use in (lambda: together.push_all(rows[0]), lambda: together.save("ETH"), bound, together.prepare):
        with pytest.raises(ClosedError, match="3 streams of `small`: used after it was closed"):
            use()
    assert issubclass(BusyError, RuntimeError) and isinstance(model.streams(1), StreamSet)

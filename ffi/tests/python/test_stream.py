"""Streams give the bits of whole windows, for rows and for bars."""

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import Case
from tickfuse import (
    ArrayError,
    Bar,
    BarError,
    CategoryError,
    ClosedError,
    Flags,
    Model,
    NonFiniteError,
    OptionError,
    RunError,
    SchemaError,
    ShapeError,
    StateError,
)

MINUTE = 60_000_000_000


@pytest.fixture
def rows(lstm: Case) -> np.ndarray:
    """84 rows, x1 missing here and there."""
    return np.concatenate(list(lstm.windows))


@pytest.fixture
def bars(cases: dict[str, Case]) -> Case:
    """A model of `close`, `ret1` and `volume`."""
    return cases["lstm_bars"]


def random_bars(n: int) -> list[Bar]:
    """Synthetic bars a minute apart."""
    close = 100 + np.random.default_rng(5).normal(size=n).cumsum()
    return [Bar(i * MINUTE, c, c + 1, c - 1, c, 10.0 + i) for i, c in enumerate(close.tolist())]


def windows_of(bars: list[Bar]) -> np.ndarray:
    """The features of all bars, in doubles."""
    close = np.array([b.close for b in bars])
    ret = np.append(0.0, close[1:] / close[:-1] - 1.0)
    return np.column_stack([close, ret, [b.volume for b in bars]])


def test_rows_pushed_and_peeked_give_the_bits_of_windows(lstm: Case, rows: np.ndarray) -> None:
    model = Model(lstm.path)
    for dtype in (np.float32, np.float64):
        stream, session = model.stream(), model.session()
        for i, row in enumerate(rows.astype(dtype)):
            assert stream.remaining == max(1, 7 - i)
            peeked, step = stream.peek(row), stream.push(row)
            assert step.remaining == peeked.remaining == max(0, 6 - i) and step.ts_ns is None
            if i < 6:
                assert step.answer is None and peeked.answer is None
                continue
            expected = session.predict(rows[i - 6 : i + 1].copy())
            for answer in (peeked.answer, step.answer):
                assert answer is not None and answer.flags == expected.flags
                np.testing.assert_array_equal(answer.values, expected.values)
            if i % 3 == 0:
                stream.prepare()
            while i % 3 == 1 and not stream.prepare_some(2):
                pass


def test_a_row_by_column_name(lstm: Case, rows: np.ndarray) -> None:
    model = Model(lstm.path)
    named, plain = model.stream(), model.stream()
    for row in rows[:9]:
        values = {"x2": float(row[2]), "other": "a", "x0": float(row[0]), "x1": None if np.isnan(row[1]) else float(row[1])}
        by_name, by_place = named.push(values).answer, plain.push(row).answer
        assert (by_name is None) == (by_place is None)
        if by_name is not None and by_place is not None:
            np.testing.assert_array_equal(by_name.values, by_place.values)
    with pytest.raises(SchemaError, match="row: expected a column `x1`, found `x0`, `x2`"):
        named.push({"x0": 0.0, "x2": 0.0})


def test_a_bound_push_follows_its_array(lstm: Case, rows: np.ndarray) -> None:
    model = Model(lstm.path)
    for dtype in (np.float32, np.float64):
        stream, other, row = model.stream(), model.stream(), np.empty(3, dtype)
        push = stream.bind(row)
        for values in rows:
            row[:] = values
            answer = other.push(values).answer
            assert push() == (answer is not None)
            if answer is not None:
                np.testing.assert_array_equal(push.out, answer.values)
                assert push.step.flags == answer.flags
        row[:] = np.nan
        with pytest.raises(NonFiniteError, match=r"row 6, column 0 \(`x0`\)"):
            push()
        stream.close()
        with pytest.raises(ClosedError, match="stream of `small`: used after it was closed"):
            push()


def test_a_refused_row_is_not_taken(lstm: Case, rows: np.ndarray) -> None:
    stream, out = Model(lstm.path).stream(), np.full(3, 7, np.float32)
    for row in rows[:6]:
        stream.push(row, out)
    for bad, error in [
        (np.array([0, 0, np.inf], np.float32), NonFiniteError),
        (np.zeros(4, np.float32), ShapeError),
        (np.zeros(3, int), ArrayError),
        ([0.0, 0.0, 0.0], ArrayError),
    ]:
        with pytest.raises(error):
            stream.push(bad, out)
    assert stream.remaining == 1 and (out == 7).all()
    answer = stream.push(rows[6], out).answer
    assert answer is not None and answer.values is out
    np.testing.assert_array_equal(out, lstm.answers[0])
    stream.reset()
    assert stream.remaining == 7


def test_bars_become_features_and_answers(bars: Case) -> None:
    model = Model(bars.path)
    stream, session, given = model.stream(), model.session(), random_bars(40)
    windows = windows_of(given)
    for i, bar in enumerate(given):
        peeked, step = stream.peek_bar(bar), stream.push_bar(bar)
        assert step.ts_ns == bar.ts_ns and step.remaining == max(0, 6 - i)
        if i >= 6:
            expected = session.predict(windows[i - 6 : i + 1].copy())
            for answer in (peeked.answer, step.answer):
                assert answer is not None
                np.testing.assert_array_equal(answer.values, expected.values)


@pytest.mark.parametrize("maker", [pd.DataFrame, pl.DataFrame, pa.table, dict])
def test_a_frame_of_bars_is_replayed(bars: Case, maker: Any) -> None:
    model, given = Model(bars.path), random_bars(30)
    columns = {name: [getattr(b, name) for b in given] for name in ("volume", "close", "low", "high", "open")}
    times = np.array([b.ts_ns for b in given]).astype("datetime64[ns]")
    answers = model.stream().push_bars(maker(columns | {"ts": times}))
    np.testing.assert_array_equal(answers.values, model.session().predict_series(windows_of(given)).values)
    np.testing.assert_array_equal(np.asarray(answers.index, "datetime64[ns]"), times[6:])
    assert len(answers.to_pandas()) == len(answers.to_polars()) == len(answers.to_arrow()) == 24
    numbered = model.stream().push_bars(maker(columns | {"ts_ns": times.astype(np.int64)}), time="ts_ns")
    np.testing.assert_array_equal(numbered.values, answers.values)
    with pytest.raises(SchemaError, match="bars: column `t`: expected times, or nanoseconds named `ts_ns`, found int64"):
        model.stream().push_bars(maker(columns | {"t": times.astype(np.int64)}), time="t")
    with pytest.raises(SchemaError, match="bars: expected a column `ts`, found"):
        model.stream().push_bars(maker(columns))
    del columns["low"]
    with pytest.raises(SchemaError, match="bars: expected a column `low`, found"):
        model.stream().push_bars(maker(columns | {"ts": times}))
    few = {name: values[:3] for name, values in (columns | {"low": columns["close"], "ts": times}).items()}
    assert model.stream().push_bars(maker(few)).values.shape == (0, 3)


def test_a_gap_begins_anew_unless_it_is_accepted(bars: Case) -> None:
    stream, given = Model(bars.path).stream(), random_bars(12)
    for bar in given[:8]:
        stream.push_bar(bar)
    later = given[9]
    assert stream.peek_bar(later).answer is None
    stream.max_missing_bars = 1
    assert stream.max_missing_bars == 1
    assert stream.peek_bar(later).answer is not None
    for n in (-1, 1 << 32, 0.5):
        with pytest.raises(OptionError, match="max_missing_bars: expected a number from 0 to 4294967295"):
            stream.max_missing_bars = n  # type: ignore[assignment]
        with pytest.raises(OptionError, match="budget: expected a number from 0 to 4294967295"):
            stream.prepare_some(n)  # type: ignore[arg-type]


def test_bars_out_of_range_or_order_are_refused(bars: Case, lstm: Case) -> None:
    stream, given = Model(bars.path).stream(), random_bars(3)
    stream.push_bar(given[1])
    for bad in (given[0], given[1], given[2]._replace(close=float("nan")), given[2]._replace(low=1e9)):
        with pytest.raises(BarError):
            stream.push_bar(bad)
    for bad in (given[2]._replace(ts_ns=1.5), given[2]._replace(open="1"), given[2][:3], given[2]._replace(ts_ns=1 << 63)):
        with pytest.raises(OptionError, match="bar: expected a Bar"):
            stream.push_bar(bad)  # type: ignore[arg-type]
    with pytest.raises(RunError):
        Model(lstm.path).stream().push_bar(given[0])


def test_rows_with_rows_of_the_future_give_the_bits_of_windows(tft: Case) -> None:
    model = Model(tft.path)
    lookback, session = model.lookback, model.session()
    for window in tft.windows:
        for dtype in (np.float32, np.float64):
            stream, streams = model.stream(), model.streams(2)
            rows = np.ascontiguousarray(window, dtype)
            past, newest, future = rows[: lookback - 1], rows[lookback - 1], rows[lookback:]
            for row in past:
                assert stream.push(row, future=future).answer is None
                streams.push_all(np.stack([np.vstack([row[None], future])] * 2))
            stream.prepare()
            expected = session.predict(rows)
            bound = stream.copy().bind(np.vstack([newest[None], future]))
            assert bound() and bound.out.tobytes() == expected.values.tobytes()
            peeked = stream.peek(newest, future=future)
            of_symbol = streams.push("1", newest, future=future)
            pushed = stream.push(dict(zip((i.name for i in model.inputs), newest, strict=True)), future=future)
            for step in (peeked, of_symbol, pushed):
                assert step.answer is not None
                assert step.answer.values.tobytes() == expected.values.tobytes()
                assert step.answer.flags == expected.flags


def test_fewer_rows_of_the_future_answer_fewer_steps_and_none_are_refused(tft: Case) -> None:
    model = Model(tft.path)
    stream, window, lookback = model.stream(), tft.windows[0], model.lookback
    for row in window[: lookback - 1]:
        stream.push(row, future=window[lookback:])
    step = stream.peek(window[lookback - 1], future=window[lookback : lookback + 1])
    expected = model.session().predict_lengths(window[: lookback + 1], lookback, 1)
    assert step.answer is not None and step.answer.names == expected.names
    assert step.answer.values.tobytes() == expected.values.tobytes()
    for missing in (None, window[:0]):
        with pytest.raises(RunError, match="rows of the future") as e:
            stream.push(window[0], future=missing)
        assert e.value.status == 309
    with pytest.raises(ShapeError, match="decoder rows: expected 1 to 3, found 4"):
        stream.push(window[0], future=window[:4])
    with pytest.raises(ShapeError, match=r"future: expected a .* of shape \[rows, 7\]"):
        stream.push(window[0], future=window[0])
    with pytest.raises(ShapeError, match=r"row: expected a .* of shape \[4, 7\]"):
        stream.bind(window[0])


def test_the_times_of_bars_tell_the_rows_of_the_future(cases: dict[str, Case]) -> None:
    model = Model(cases["tft_ahead"].path)
    stream, given = model.stream(), random_bars(3 * model.lookback)
    steps = [stream.push_bar(bar) for bar in given]
    minutes = np.sin(2 * np.pi / 60 * np.arange(len(given) + 3))
    rows = np.column_stack([minutes, np.append(windows_of(given)[:, 1], [np.nan] * 3)])
    for i, step in enumerate(steps):
        if i + 1 < model.lookback:
            assert step.answer is None
            continue
        window = rows[i + 1 - model.lookback : i + 4].copy()
        window[model.lookback :, 1] = np.nan  # not read
        expected = model.session().predict(window)
        assert step.answer is not None
        assert np.allclose(step.answer.values, expected.values, rtol=1e-5, atol=1e-6)
    with pytest.raises(RunError, match="bars"):
        Model(cases["tft"].path).stream().push_bar(given[0])


def test_flags_of_a_stream_are_those_of_its_window(lstm: Case) -> None:
    stream = Model(lstm.path).stream()
    steps = [stream.push(row) for row in lstm.windows[1]]
    assert steps[-1].answer is not None and steps[-1].answer.flags == Flags.IMPUTED


def test_times_with_a_zone_are_taken_as_utc(bars: Case) -> None:
    model, given = Model(bars.path), random_bars(8)
    frame = pd.DataFrame([b._asdict() for b in given])
    frame["ts"] = pd.to_datetime(frame["ts_ns"], utc=True).dt.tz_convert("America/New_York")
    for zoned in (frame, frame.convert_dtypes(dtype_backend="pyarrow"), pl.DataFrame(frame), pa.Table.from_pandas(frame)):
        stream = model.stream()
        answers = stream.push_bars(zoned)
        assert len(answers) == 2
        with pytest.raises(BarError):
            stream.push_bar(given[-1])
        assert stream.push_bar(given[-1]._replace(ts_ns=8 * MINUTE)).answer is not None


def test_the_symbol_of_a_series_stands_in_its_rows(cases: dict[str, Case]) -> None:
    model, given = Model(cases["tft_bars"].path), random_bars(5)
    ret, answers = windows_of(given)[:, 1], {}
    for label, code in [(None, 0), ("never seen", 0), ("a", 0), ("c", 2)]:
        stream = model.stream()
        if label is not None:
            assert stream.set_category("static0", label) == (label != "never seen")
        answers[label] = [stream.push_bar(bar) for bar in given][-1].answer
        expected = model.session().predict(np.column_stack([np.full(5, float(code)), ret]))
        np.testing.assert_array_equal(answers[label].values, expected.values)
    assert (answers["a"].values != answers["c"].values).any()
    with pytest.raises(CategoryError):
        stream.set_category("venue", "X")
    with pytest.raises(OptionError, match="expected text without a zero byte"):
        stream.set_category("static0", "a\0b")


def test_a_saved_stream_goes_on_where_it_was(bars: Case) -> None:
    model, some = Model(bars.path), random_bars(30)
    stream = model.stream()
    stream.max_missing_bars = 3
    for bar in some[:20]:
        stream.push_bar(bar)
    stream.prepare()
    states = stream.save(), pickle.dumps(stream)
    others = [model.stream(), pickle.loads(states[1]), stream.copy(), copy.copy(stream)]
    others[0].restore(states[0])
    assert [o.max_missing_bars for o in others] == [None, 3, 3, 3]
    again = model.stream()
    again.copy_from(stream)
    skipped = [*some[20:25], *some[28:]]
    for bar in skipped:
        expected = stream.push_bar(bar)
        assert expected.answer is not None
        for other in (*others, again):
            step = other.push_bar(bar)
            assert step.answer is not None
            np.testing.assert_array_equal(step.answer.values, expected.answer.values)


def test_what_is_no_state_of_the_model_is_refused_and_changes_nothing(lstm: Case, bars: Case, rows: np.ndarray) -> None:
    stream = Model(lstm.path).stream()
    for row in rows[:8]:
        stream.push(row)
    foreign = Model(bars.path).stream()
    before = stream.save()
    for state in (b"", before[:-1], before + b"x", bytes([before[0] ^ 1]) + before[1:], foreign.save()):
        with pytest.raises(StateError) as refused:
            stream.restore(state)
        assert refused.value.status in (313, 314)
    with pytest.raises(StateError):
        stream.copy_from(foreign)
    assert stream.save() == before


def test_a_copy_that_asks_what_would_be_leaves_the_stream_alone(lstm: Case, rows: np.ndarray) -> None:
    stream = Model(lstm.path).stream()
    for row in rows[:10]:
        stream.push(row)
    before, what_if = stream.save(), stream.copy()
    for row in rows[40:50]:
        what_if.push(row)
    assert stream.save() == before and what_if.save() != before
    stream.close()
    with pytest.raises(ClosedError):
        stream.copy()
    assert what_if.push(rows[0]).answer is not None

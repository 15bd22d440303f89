"""Frames are read by column name, whatever their library, order and further columns."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import Case
from tickfuse import CategoryError, Model, SchemaError, Session, ShapeError


class Foreign:
    """A frame of a library nobody knows, which speaks Arrow's protocol."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.table = pa.table(columns)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


MAKERS = {
    "dict": dict,
    "pandas": pd.DataFrame,
    "pandas of Arrow": lambda columns: pd.DataFrame(columns).convert_dtypes(dtype_backend="pyarrow"),
    "pandas with its own nulls": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "polars": pl.DataFrame,
    "table": pa.table,
    "record batch": pa.RecordBatch.from_pydict,
    "another library": Foreign,
}


@pytest.fixture(params=MAKERS)
def maker(request: pytest.FixtureRequest) -> Any:
    return MAKERS[request.param]


@pytest.fixture
def session(lstm: Case) -> Session:
    return Model(lstm.path).session()


def columns_of(model: Model, window: np.ndarray) -> dict[str, Any]:
    """Columns in another order with others between."""
    named = {i.name: window[:, k].copy() for k, i in enumerate(model.inputs)}
    return {"note": ["a"] * len(window)} | dict(reversed(named.items())) | {"x9": np.zeros(len(window))}


def test_columns_are_found_by_name(maker: Any, case: Case) -> None:
    model = Model(case.path)
    session = model.session()
    for dtype in (np.float32, np.float64):
        frame = maker(columns_of(model, case.windows[0].astype(dtype)))
        np.testing.assert_array_equal(session.predict(frame).values, case.answers[0])


def test_a_longer_frame_is_a_series(maker: Any, session: Session, lstm: Case) -> None:
    series = np.concatenate(list(lstm.windows[::2]))
    expected = session.predict_series(series).values
    frame = maker(columns_of(session.model, series))
    np.testing.assert_array_equal(session.predict_series(frame).values, expected)
    with pytest.raises(ShapeError, match="window: expected 7 rows, found 42; predict_series answers every window"):
        session.predict(frame)


def test_whole_numbers_and_truth_values_are_numbers(maker: Any, session: Session) -> None:
    columns = {"x0": np.arange(7), "x1": np.arange(7) % 2 == 0, "x2": np.arange(7, dtype=np.uint8)}
    expected = session.predict(np.column_stack([c.astype(np.float64) for c in columns.values()]))
    np.testing.assert_array_equal(session.predict(maker(columns)).values, expected.values)


@pytest.mark.parametrize("library", [k for k in MAKERS if k != "dict"])
def test_nulls_are_missing_values(library: str, session: Session, lstm: Case) -> None:
    window = lstm.windows[1]
    assert np.isnan(window[:, 1]).any()
    values = {f"x{k}": [None if np.isnan(v) else float(v) for v in window[:, k]] for k in range(3)}
    np.testing.assert_array_equal(session.predict(MAKERS[library](values)).values, lstm.answers[1])


def test_missing_columns_are_named(maker: Any, session: Session, lstm: Case) -> None:
    columns = columns_of(session.model, lstm.windows[0])
    del columns["x1"]
    columns["X1"] = columns["x0"]
    with pytest.raises(SchemaError) as e:
        session.predict(maker(columns))
    assert str(e.value) == "window: expected a column `x1`, found `note`, `x2`, `x0`, `x9`, `X1`"
    del columns["x0"]
    with pytest.raises(SchemaError, match="series: expected columns `x0`, `x1`, found"):
        session.predict_series(maker(columns))


def test_doubled_columns_are_named(session: Session, lstm: Case) -> None:
    frame = pd.DataFrame(np.zeros((7, 4)), columns=["x0", "x1", "x1", "x2"])
    with pytest.raises(SchemaError, match="window: expected one column `x1`, found 2"):
        session.predict(frame)
    table = pa.Table.from_arrays([pa.array([0.0])] * 4, names=["x0", "x1", "x1", "x2"])
    with pytest.raises(SchemaError, match="window: expected one column `x1`, found 2"):
        session.predict(table)


def test_columns_of_other_types_are_named(maker: Any, session: Session, lstm: Case) -> None:
    columns = columns_of(session.model, lstm.windows[0])
    for values, found in [
        (["1"] * 7, "str"),
        (np.arange("2024-01-01", "2024-01-08", dtype="datetime64[D]").astype("datetime64[ns]"), "."),
    ]:
        with pytest.raises(SchemaError, match=f"window: column `x2`: expected numbers, found {found}"):
            session.predict(maker(columns | {"x2": values}))


def test_columns_of_other_lengths_are_named(session: Session) -> None:
    with pytest.raises(SchemaError, match="window: column `x1`: expected 7 rows as in the others, found 6"):
        session.predict({"x0": np.zeros(7), "x1": np.zeros(6), "x2": np.zeros(7)})
    with pytest.raises(SchemaError, match="window: column `x0`: expected one dimension, found 2"):
        session.predict({"x0": np.zeros((7, 1)), "x1": np.zeros(7), "x2": np.zeros(7)})


def test_lazy_frames_are_to_be_collected(session: Session) -> None:
    with pytest.raises(SchemaError, match="found a lazy one; collect"):
        session.predict(pl.LazyFrame({"x0": [0.0]}))


def test_names_of_categories_become_codes(maker: Any, tft: Case) -> None:
    model = Model(tft.path)
    session, columns = model.session(), columns_of(model, tft.windows[0])
    coded = [i for i in model.inputs if i.categories]
    assert [i.name for i in coded] == ["static0", "known0"]
    for i in coded:
        columns[i.name] = [i.categories[int(code)] for code in columns[i.name]]
    np.testing.assert_array_equal(session.predict(maker(columns)).values, tft.answers[0])


def test_unlisted_categories_are_the_unknown_one_or_refused(tft: Case) -> None:
    model = Model(tft.path)
    session, columns = model.session(), columns_of(model, tft.windows[0])
    unknown = session.predict(pl.DataFrame(columns | {"static0": ["never seen"] * 8}))
    listed = session.predict(pl.DataFrame(columns | {"static0": ["b"] * 8}))
    np.testing.assert_array_equal(unknown.values, listed.values)
    with pytest.raises(SchemaError, match="window: column `known0`, row 3: expected one of `a`, `b`, `c`, found `d`"):
        session.predict(pl.DataFrame(columns | {"known0": ["a", "b", "c", "d", "a", "a", "a", "a"]}))
    with pytest.raises(CategoryError, match=r"row 0, column \d+ \(`known0`\): expected a category code from 0 to 2"):
        session.predict(pl.DataFrame(columns | {"known0": [3.0] * 8}))


def test_pandas_categoricals_go_by_their_names(tft: Case) -> None:
    model = Model(tft.path)
    columns = columns_of(model, tft.windows[0])
    names = [["a", "b", "c"][int(code)] for code in columns["known0"]]
    frame = pd.DataFrame(columns | {"known0": pd.Categorical(names, categories=["c", "b", "a"])})
    np.testing.assert_array_equal(model.session().predict(frame).values, tft.answers[0])


def test_answers_are_indexed_by_time(session: Session, lstm: Case) -> None:
    columns = columns_of(session.model, np.concatenate(list(lstm.windows[::2])))
    times = pd.date_range("2024-01-01", periods=42, freq="min")
    answers = session.predict_series(pd.DataFrame(columns, index=times))
    assert list(answers.index) == list(times[6:])
    frame = answers.to_pandas()
    assert frame.index.equals(times[6:])
    assert list(frame.columns) == ["y.a", "y.b", "y.c"]
    named = session.predict_series(pl.DataFrame(columns | {"ts": times.to_numpy()}), time="ts")
    assert named.to_polars()["time"].to_list() == [t.to_pydatetime() for t in times[6:]]
    table = session.predict_series(pa.table(columns | {"ts": pa.array(times)}), time="ts").to_arrow()
    assert table.column_names == ["time", "y.a", "y.b", "y.c"]
    assert table.schema.field("y.a").metadata == {b"unit": b"one"}
    np.testing.assert_array_equal(table["y.c"].to_numpy(), answers["y.c"])


def test_an_index_with_a_zone_and_a_series_of_times_are_kept(session: Session, lstm: Case) -> None:
    columns = columns_of(session.model, np.concatenate(list(lstm.windows[::2])))
    times = pd.date_range("2024-01-01", periods=42, freq="min", tz="Europe/Berlin")
    for answers in (
        session.predict_series(pd.DataFrame(columns, index=times)),
        session.predict_series(pd.DataFrame(columns | {"ts": times}, index=np.arange(100.0, 142.0)), time="ts"),
    ):
        assert list(answers.to_pandas().index) == list(times[6:])
        assert answers.to_polars()["time"].to_list() == [t.to_pydatetime() for t in times[6:]]
        assert answers.to_arrow()["time"].to_pylist() == list(times[6:])


def test_the_last_past_row_dates_an_answer_that_looks_ahead(tft: Case) -> None:
    model = Model(tft.path)
    times = pd.date_range("2024-01-01", periods=8, freq="D")
    answers = model.session().predict_series(pd.DataFrame(columns_of(model, tft.windows[0]), index=times))
    assert list(answers.index) == [times[4]]


def test_times_must_increase(session: Session, lstm: Case) -> None:
    columns = columns_of(session.model, lstm.windows[0])
    times = pd.date_range("2024-01-01", periods=7).to_list()
    disordered = [*times[:3], times[4], times[3], *times[5:]]
    with pytest.raises(
        SchemaError, match="window: index: expected increasing times, found 2024-01-04.* in row 4 behind 2024-01-05"
    ):
        session.predict(pd.DataFrame(columns, index=disordered))
    doubled = [*times[:6], times[5]]
    with pytest.raises(SchemaError, match="series: column `ts`: expected increasing times, found 2024-01-06.* in row 6"):
        session.predict_series(pl.DataFrame(columns | {"ts": doubled}), time="ts")
    with pytest.raises(SchemaError, match="series: expected a column `when`, found"):
        session.predict_series(pl.DataFrame(columns), time="when")


def test_answers_without_times_become_frames_too(session: Session, lstm: Case) -> None:
    answers = session.predict_batch(lstm.windows)
    np.testing.assert_array_equal(answers.to_pandas().to_numpy(), lstm.answers)
    np.testing.assert_array_equal(answers.to_polars().to_numpy(), lstm.answers)
    assert answers.to_arrow().column_names == ["y.a", "y.b", "y.c"]
    assert "12 windows of y.a, y.b, y.c; IMPUTED" in repr(answers)

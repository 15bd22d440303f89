"""What sessions of single families offer: shorter windows, interpretations, contexts."""

import numpy as np
import pytest
from conftest import Case
from tickfuse import ArrayError, ClosedError, Model, NonFiniteError, RunError, ShapeError


def test_shorter_windows_of_a_tft(tft: Case) -> None:
    session = Model(tft.path).session()
    window = tft.windows[0]
    np.testing.assert_array_equal(session.predict_lengths(window, 5, 3).values, tft.answers[0])
    for dtype in (np.float32, np.float64):
        answer = session.predict_lengths(window[1:6].astype(dtype), 4, 1)
        assert answer.names == ("y.y0@1", "y.y1@1", "y.y2@1") and len(answer.units) == 3
        assert np.isfinite(answer.values).all()
    with pytest.raises(ShapeError) as e:
        session.predict_lengths(np.zeros((7, window.shape[1]), np.float32), 6, 1)
    assert e.value.status == 305
    with pytest.raises(ShapeError, match=r"window: expected .* shape \[6, "):
        session.predict_lengths(window, 5, 1)


def test_a_stack_has_one_length(lstm: Case) -> None:
    session = Model(lstm.path).session()
    with pytest.raises(ShapeError):
        session.predict_lengths(lstm.windows[0][1:], 6, 0)


def test_interpretations_are_the_last_windows(tft: Case, lstm: Case) -> None:
    session = Model(tft.path).session()
    assert session.interpretations() == {}
    session.predict(tft.windows[0])
    first = session.interpretations()
    assert first["attention"].ndim == 3
    np.testing.assert_allclose(first["attention"].sum(-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(first["encoder_weights"].sum(-1), 1.0, atol=1e-5)
    session.predict(tft.windows[1])
    assert any((first[name] != values).any() for name, values in session.interpretations().items())
    stack = Model(lstm.path).session()
    stack.predict(lstm.windows[0])
    assert stack.interpretations() == {}


def test_contexts_change_answers_until_they_are_taken_back(cases: dict[str, Case]) -> None:
    case = cases["xtrend"]
    model = Model(case.path)
    shape = model.context_shape
    session, random = model.session(), np.random.default_rng(3)
    rows = random.normal(size=(shape.n_contexts, shape.n_rows, shape.n_columns))
    with model.encode_contexts(rows, np.arange(shape.n_contexts) % 3) as contexts:
        session.set_contexts(contexts)
    fresh = session.predict(case.windows[0]).values.copy()
    assert (fresh != case.answers[0]).any()
    session.set_contexts(model.encode_contexts(rows.astype(np.float32), [0, 1, 2][: shape.n_contexts]))
    np.testing.assert_allclose(session.predict(case.windows[0]).values, fresh, atol=1e-4)
    session.set_contexts(None)
    np.testing.assert_array_equal(session.predict(case.windows[0]).values, case.answers[0])
    with pytest.raises(ClosedError, match="contexts of `sizes`: used after it was closed"):
        session.set_contexts(contexts)


def test_a_stream_attends_to_what_a_session_does(cases: dict[str, Case]) -> None:
    case = cases["xtrend"]
    model = Model(case.path)
    shape, session, stream = model.context_shape, model.session(), model.stream()
    rows = np.random.default_rng(4).normal(size=shape)
    contexts = model.encode_contexts(rows, [0] * shape.n_contexts)
    for row in case.windows[0][:-1]:
        stream.push(row)
    for chosen in (contexts, None):
        session.set_contexts(chosen)
        stream.set_contexts(chosen)
        step = stream.peek(case.windows[0][-1])
        assert step.answer is not None
        np.testing.assert_array_equal(step.answer.values, session.predict(case.windows[0]).values)


def test_contexts_are_checked(cases: dict[str, Case]) -> None:
    model = Model(cases["xtrend"].path)
    shape = model.context_shape
    rows = np.zeros((1, shape.n_rows, shape.n_columns))
    for entities in ([0.0], [-1], [0, 1], [1 << 32]):
        with pytest.raises(ArrayError, match="entities: expected 1 whole numbers from 0, found"):
            model.encode_contexts(rows, entities)
    with pytest.raises(ShapeError, match=r"rows: expected .* of shape \[n, "):
        model.encode_contexts(rows[:, :-1].copy(), [0])
    with pytest.raises(ShapeError):
        model.encode_contexts(np.zeros((shape.n_contexts + 1, *rows.shape[1:])), np.zeros(shape.n_contexts + 1, int))
    with pytest.raises(NonFiniteError):
        model.encode_contexts(rows * np.nan, [0])
    other = Model(cases["xtrend"].path).session()
    with pytest.raises(RunError) as e:
        other.set_contexts(model.encode_contexts(rows, [0]))
    assert e.value.status == 308


def test_models_without_contexts_say_so(lstm: Case) -> None:
    with pytest.raises(RunError) as e:
        _ = Model(lstm.path).context_shape
    assert e.value.status == 307

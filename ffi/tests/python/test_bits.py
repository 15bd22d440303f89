"""Every way in gives the bits that Rust gives."""

import numpy as np
from conftest import Case
from tickfuse import Flags, Model


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal shape and bits."""
    assert found.dtype == expected.dtype == np.float32
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_single_windows_of_floats_and_doubles(case: Case) -> None:
    session = Model(case.path).session(1)
    for window, expected, flags in zip(case.windows, case.answers, case.flags, strict=True):
        for dtype in (np.float32, np.float64):
            answer = session.predict(window.astype(dtype))
            same(answer.values, expected)
            assert int(answer.flags) == flags


def test_batches_in_one_piece_and_in_several(case: Case) -> None:
    model = Model(case.path)
    together = np.bitwise_or.reduce(case.flags)
    for max_batch in (1, 5, 12, 1024):
        for dtype in (np.float32, np.float64):
            answers = model.session(max_batch).predict_batch(case.windows.astype(dtype))
            same(answers.values, case.answers)
            assert int(answers.flags) == together


def test_windows_that_lie_apart_overlap_or_run_backwards(case: Case) -> None:
    session = Model(case.path).session()
    same(session.predict_batch(case.windows[::-2]).values, case.answers[::-2])
    same(session.predict_batch(np.broadcast_to(case.windows[0], (3, *case.windows[0].shape))).values, case.answers[[0, 0, 0]])


def test_a_series_gives_the_answers_of_its_windows(case: Case) -> None:
    model = Model(case.path)
    session = model.session()
    series = np.concatenate(list(case.windows[::2]))
    expected = [session.predict(series[i : i + model.n_rows]).values for i in range(len(series) - model.n_rows + 1)]
    answers = session.predict_series(series)
    same(answers.values, np.array(expected))
    same(answers.values[:: model.n_rows], case.answers[::2])
    assert answers.index is None


def test_every_stride_gives_the_answers_and_flags_of_its_windows(case: Case) -> None:
    model = Model(case.path)
    session = model.session()
    for dtype in (np.float32, np.float64):
        series = np.concatenate(list(case.windows)).astype(dtype)
        for stride in (1, 3, model.n_rows):
            alone = [session.predict(series[i : i + model.n_rows]) for i in range(0, len(series) - model.n_rows + 1, stride)]
            out = np.empty((len(alone), model.n_outputs), np.float32)
            answers = session.predict_series(series, out, stride=stride)
            assert answers.values is out
            same(out, np.array([a.values for a in alone]))
            assert answers.each is not None and answers.each.tolist() == [int(a.flags) for a in alone]
            assert int(answers.flags) == np.bitwise_or.reduce(answers.each)


def test_overlapping_views_are_answered_where_they_lie(case: Case) -> None:
    model = Model(case.path)
    session, series = model.session(5), np.concatenate(list(case.windows[:3]))
    for step in (1, 2):
        views = np.lib.stride_tricks.sliding_window_view(series, model.n_rows, axis=0)[::step].swapaxes(1, 2)
        expected = session.predict_series(series, stride=step).values
        same(session.predict_batch(views).values, expected)


def test_a_bound_call_follows_its_array(case: Case) -> None:
    session = Model(case.path).session()
    for dtype in (np.float32, np.float64):
        window, out = np.empty(case.windows[0].shape, dtype), np.empty(case.answers.shape[1], np.float32)
        bound = session.bind(window, out)
        assert bound.window is window
        assert bound.out is out
        for values, expected, flags in zip(case.windows, case.answers, case.flags, strict=True):
            window[:] = values
            assert bound() == flags
            same(out, expected)


def test_answers_go_to_the_array_handed_in(case: Case) -> None:
    session = Model(case.path).session()
    out = np.empty_like(case.answers)
    assert session.predict(case.windows[2], out[2]).values.base is out
    same(out[2], case.answers[2])
    assert session.predict_batch(case.windows, out).values is out
    same(out, case.answers)


def test_every_other_way_of_opening_gives_the_same(case: Case) -> None:
    content = case.path.read_bytes()
    models = [
        Model(case.path, copied=True),
        Model(str(case.path), level=case.said["level"], check_hash=False, check_golden=False),
        *(Model.from_bytes(kind(content)) for kind in (bytes, bytearray, memoryview)),
        Model.from_bytes(memoryview(b"x" + content)[1:], check_hash=False, check_golden=False),
    ]
    for model in models:
        same(model.session().predict_batch(case.windows).values, case.answers)


def test_no_windows_are_no_answers(case: Case) -> None:
    answers = Model(case.path).session().predict_batch(case.windows[:0])
    assert len(answers) == 0
    assert answers.flags == Flags(0)

"""Threads, processes and lifetimes. Nothing is timed: a refusal of a second call can only come while the first one runs."""

import contextlib
import gc
import multiprocessing
import os
import threading
from collections.abc import Callable

import numpy as np
import pytest
from conftest import Case
from tickfuse import BusyError, Model, Session

N_WINDOWS = 20_000


def in_background(work: Callable[[], object]) -> tuple[threading.Thread, threading.Event]:
    """A thread doing `work` that has begun, and the event of its end."""
    begun, ended = threading.Event(), threading.Event()

    def run() -> None:
        begun.set()
        try:
            work()
        finally:
            ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    return thread, ended


@pytest.fixture
def many(lstm: Case) -> np.ndarray:
    """Windows for one long call."""
    return np.ascontiguousarray(np.broadcast_to(lstm.windows[0], (N_WINDOWS, *lstm.windows[0].shape)))


def test_other_threads_run_during_a_call_and_a_session_in_use_is_refused(lstm: Case, many: np.ndarray) -> None:
    model = Model(lstm.path)
    session, own = model.session(N_WINDOWS), model.session(1)
    refused = answered = 0

    def long_call() -> None:
        # Refused itself where a short call on the session is under way.
        with contextlib.suppress(BusyError):
            session.predict_batch(many)

    while not refused:
        thread, ended = in_background(long_call)
        while not ended.is_set():
            answered += bool((own.predict(lstm.windows[0]).values == lstm.answers[0]).all())
            try:
                session.predict(lstm.windows[0])
            except BusyError as e:
                assert e.status == 106
                refused += 1
        thread.join()
    assert answered >= refused > 0
    np.testing.assert_array_equal(session.predict(lstm.windows[0]).values, lstm.answers[0])


def test_closing_in_another_thread_lets_the_call_end(lstm: Case, many: np.ndarray) -> None:
    found: list[np.ndarray] = []
    for _ in range(5):
        session = Model(lstm.path).session(N_WINDOWS)
        thread, _ended = in_background(lambda s=session: _last(s, many, found))
        session.close()
        del session
        gc.collect()
        thread.join()
    for values in found:
        np.testing.assert_array_equal(values, lstm.answers[0])


def _last(session: Session, many: np.ndarray, found: list[np.ndarray]) -> None:
    try:
        found.append(session.predict_batch(many).values[-1])
    except ValueError as e:
        assert "used after it was closed" in str(e)


def test_threads_with_sessions_of_one_model_get_their_own_answers(case: Case) -> None:
    model, found = Model(case.path), {}

    def work(i: int) -> None:
        session, place = model.session(3), i % len(case.windows)
        found[i] = [session.predict(case.windows[place]).values for _ in range(200)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, answers in found.items():
        np.testing.assert_array_equal(answers, np.broadcast_to(case.answers[i % 12], (200, case.answers.shape[1])))
    assert len(found) == 8


def test_threads_that_share_a_set_or_a_series_are_refused_or_answered_right(lstm: Case) -> None:
    model = Model(lstm.path)
    streams, session = model.streams(64), model.session()
    rows, series = np.ascontiguousarray(np.repeat(lstm.windows[0][:1], 64, axis=0)), np.concatenate([*lstm.windows] * 50)
    expected = model.session().predict_series(series).values
    refused: list[int] = []

    def work() -> None:
        for _ in range(100):
            try:
                streams.push_all(rows)
                assert (session.predict_series(series).values == expected).all()
            except BusyError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert streams.push_all(rows).has_answer.all() and len(refused) < 300
    assert (session.predict_series(series).values == expected).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_models_sessions_and_streams_go_on_on_both_sides_of_a_fork(case: Case) -> None:
    model = Model(case.path)
    session = model.session()
    bound = session.bind(case.windows[0].copy())
    bound()
    series = np.concatenate(list(case.windows[:2]))
    slid = session.predict_series(series).values
    child = os.fork()
    if child == 0:
        same = (session.predict(case.windows[3]).values == case.answers[3]).all()
        same &= (model.session().predict_batch(case.windows).values == case.answers).all()
        same &= (session.predict_series(series).values == slid).all()
        bound()
        same &= (bound.out == case.answers[0]).all()
        session.close()
        model.close()
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(session.predict(case.windows[3]).values, case.answers[3])


def test_a_model_travels_to_another_process(lstm: Case) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        values = pool.apply(answer, (Model(lstm.path), lstm.windows[2]))
    np.testing.assert_array_equal(values, lstm.answers[2])


def answer(model: Model, window: np.ndarray) -> np.ndarray:
    """What the other process does."""
    return model.session().predict(window).values


def test_opening_and_closing_leaves_no_mapping_or_descriptor_behind(lstm: Case) -> None:
    if not os.path.exists("/proc/self/maps"):
        pytest.skip("no /proc here")

    def held() -> tuple[int, int]:
        with open("/proc/self/maps") as maps:
            mappings = sum(str(lstm.path) in line for line in maps)
        return mappings, len(os.listdir("/proc/self/fd"))

    gc.collect()
    before = held()
    for i in range(300):
        model = Model(lstm.path)
        session = model.session(1)
        session.predict(lstm.windows[0])
        if i % 2:
            session.close()
            model.close()
        del model, session
    gc.collect()
    assert held() == before

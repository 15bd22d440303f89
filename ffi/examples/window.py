"""Answers windows of zeros and rows of zeros with a model file: `python window.py model.safetensors`."""

import sys

import numpy as np
import tickfuse

with tickfuse.Model(sys.argv[1]) as model:  # mapped, checked, golden windows run
    session, stream = model.session(), model.stream()  # each for one thread; they outlive the model
window = np.zeros((model.n_rows, model.n_features), np.float32)  # raw rows, oldest first; or a frame, by column name
answer = session.predict(window)  # also predict_batch, and predict_series for every window of a longer series or frame
print(answer.to_dict(), answer.units, answer.flags)

for row in window:  # one row (or push_bar: one bar) at a time: the same bits
    step = stream.push(row)
    stream.prepare()  # while nothing arrives
print(step.answer)

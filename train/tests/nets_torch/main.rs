//! The nets against `PyTorch`: names and shapes of tensors, answers, gradients of the first step, losses of ten steps.
//!
//! Fixtures and their tolerances come from `fixtures/make/own_nets.py` and `fixtures/make/pytorch_forecasting_nets.py`. Answers and
//! first gradients are compared in f64, where only a wrong formula can differ; the ten steps run in f32 as training does.

mod fixture;
mod labels;
mod library;
mod own;
mod train;

//! Files of PyTorch in and out through the real program: answers against the originals, tensors back bit by bit.

mod families;
mod guide;
mod program;
mod refusals;
mod seed_refusals;
mod seeds;

//! Features against foreign references, as a stream, and over a very long time.

mod drift;
mod fixture;
mod properties;
mod reference;

//! The C interface from outside: its header, its misuse, and programs in C and C++ that use the built library.

#[path = "../../../core/tests/common/mod.rs"]
mod models;

mod compiler;
mod consumers;
mod contexts;
mod cpp;
mod delivery;
mod header;
mod library;
mod live;
mod memory;
mod misuse;
mod older;
mod quiet;
mod router;
mod series;
mod stream_misuse;
mod streams;
mod symbols;
mod valgrind;

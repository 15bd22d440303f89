//! A program without std: opens the model it carries and answers its windows on every level of the CPU.
//!
//! Exit code 0: every answer is the golden one. 1: the model does not open. 2: a window is refused. 3: an answer
//! differs. 134 (abort): a panic. `run.sh` builds it, runs it and checks that nothing of std was linked.
#![no_std]
#![no_main]

extern crate alloc;

mod arena;

use alloc::vec;
use arena::Arena;
use core::panic::PanicInfo;
use tickfuse_core::{Level, Model, OpenOptions, Session};

static MODEL: &[u8] = include_bytes!("../model.safetensors");

#[global_allocator]
static ALLOCATOR: Arena = Arena::new();

#[link(name = "c")]
unsafe extern "C" {
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    abort()
}

/// Why the program ends with another code than 0.
#[repr(i32)]
#[derive(Clone, Copy)]
enum Failure {
    Open = 1,
    Run = 2,
    Answer = 3,
}

/// One window after the other, as a caller would, against the answers in the file.
fn answer(level: Level) -> Result<(), Failure> {
    let options = OpenOptions {
        level: Some(level),
        ..OpenOptions::default()
    };
    let model = Model::from_bytes(MODEL, options).map_err(|_| Failure::Open)?;
    let (golden, tolerance) = (model.bundle().golden(), model.schema().golden_tolerance);
    let (n_window, n_outputs) = (
        golden.input.len() / golden.n_windows,
        model.schema().n_outputs(),
    );
    let mut session = Session::new(&model, 1);
    let mut found = vec![0.0_f32; n_outputs];
    let windows = golden.input.chunks_exact(n_window);
    for (window, expected) in windows.zip(golden.output.chunks_exact(n_outputs)) {
        session.run(window, &mut found).map_err(|_| Failure::Run)?;
        let meets = |(found, expected): (&f32, &f32)| (found - expected).abs() <= tolerance;
        if !found.iter().zip(expected).all(meets) {
            return Err(Failure::Answer);
        }
    }
    Ok(())
}

/// The entry point of the C runtime.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
    match Level::available().try_for_each(answer) {
        Ok(()) => 0,
        Err(failure) => failure as i32,
    }
}

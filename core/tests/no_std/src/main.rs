//! A program without std: opens the models it carries and answers their windows on every level of the CPU.
//!
//! Exit code 0: every answer is the golden one. 1: a model does not open. 2: a window is refused. 3: an answer
//! differs. 4: contexts are refused. 134 (abort): a panic. `run.sh` builds it, runs it and checks that nothing of std was linked.
#![no_std]
#![no_main]

extern crate alloc;

mod arena;

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use arena::Arena;
use core::panic::PanicInfo;
use tickfuse_core::{Level, Model, OpenOptions, Session};

/// One net that takes several windows side by side, one that reads rows and attends to contexts.
static MODELS: [&[u8]; 2] = [
    include_bytes!("../lstm.safetensors"),
    include_bytes!("../xtrend.safetensors"),
];

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
    Contexts = 4,
}

/// One window after the other, as a caller would, against the answers in the file.
fn answer(model: &Arc<Model>, session: &mut Session) -> Result<(), Failure> {
    let (golden, tolerance) = (model.bundle().golden(), model.schema().golden_tolerance);
    let (n_window, n_outputs) = (
        golden.input.len() / golden.n_windows,
        model.schema().n_outputs(),
    );
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

/// The file's own contexts as a caller would bring them.
fn encode_again(model: &Model, session: &mut Session) -> Result<(), Failure> {
    let Some([n, n_rows, n_columns]) = model.context_shape() else {
        return Ok(());
    };
    let tensor = |name, shape: &[usize]| model.bundle().tensor::<f32>(name, shape);
    let rows = tensor("contexts.input", &[n, n_rows, n_columns]).map_err(|_| Failure::Contexts)?;
    let entities = tensor("contexts.entity", &[n]).map_err(|_| Failure::Contexts)?;
    let entities: Vec<u32> = entities.iter().map(|code| *code as u32).collect();
    let contexts = model.encode_contexts(&rows[..], &entities);
    let set = |contexts| session.set_contexts(&contexts);
    contexts.and_then(set).map_err(|_| Failure::Contexts)
}

/// Every model at one level.
fn answer_all(level: Level) -> Result<(), Failure> {
    MODELS.iter().try_for_each(|bytes| open_and_answer(bytes, level))
}

fn open_and_answer(bytes: &[u8], level: Level) -> Result<(), Failure> {
    let options = OpenOptions {
        level: Some(level),
        ..OpenOptions::default()
    };
    let model = Model::from_bytes(bytes, options).map_err(|_| Failure::Open)?;
    let mut session = Session::new(&model, 1);
    answer(&model, &mut session)?;
    encode_again(&model, &mut session)?;
    answer(&model, &mut session)
}

/// The entry point of the C runtime.
#[unsafe(no_mangle)]
pub extern "C" fn main(_argc: i32, _argv: *const *const u8) -> i32 {
    match Level::available().try_for_each(answer_all) {
        Ok(()) => 0,
        Err(failure) => failure as i32,
    }
}

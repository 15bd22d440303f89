//! Programs in C11 and C++17, compiled without a warning, get the bits that Rust gets.

use crate::compiler::{self, answer, digits};
use crate::library::{has, successful};
use crate::models;
use std::path::{Path, PathBuf};
use std::process::Command;
use tickfuse::{ABI_VERSION, CallerOptions};
use tickfuse_core::bundle::Schema;
use tickfuse_core::{Model, OpenOptions, Session};

const N_WINDOWS: usize = 9;

/// A model file, windows beside it, and what Rust answers.
pub(crate) struct Case {
    model: PathBuf,
    windows: PathBuf,
    schema: Schema,
    hash: String,
    level: &'static str,
    /// Flags and answer of each window.
    answers: Vec<(u32, Vec<f32>)>,
}

impl Case {
    /// Every other window has an input to impute.
    fn new(folder: &Path, name: &str, schema: Schema, bytes: &[u8]) -> Self {
        let opened = Model::from_bytes(bytes, OpenOptions::default()).unwrap();
        let mut session = Session::new(&opened, 1);
        let (mut raw, mut answers) = (Vec::new(), Vec::new());
        for i in 0..N_WINDOWS {
            let mut window = models::window(&schema, 500 + i as u64);
            if i % 2 == 1 {
                window[1] = f32::NAN;
            }
            let mut out = vec![0.0; schema.n_outputs()];
            let flags = session.run(&window, &mut out).unwrap();
            raw.extend(window.iter().flat_map(|v| v.to_le_bytes()));
            answers.push((flags.bits(), out));
        }
        let (model, windows) = (folder.join(name), folder.join(format!("{name}.f32")));
        std::fs::write(&model, bytes).unwrap();
        std::fs::write(&windows, raw).unwrap();
        let (hash, level) = (opened.hash(), opened.level().name());
        Self {
            model,
            windows,
            schema,
            hash,
            level,
            answers,
        }
    }

    pub(crate) fn run(&self, program: &Path) -> String {
        let mut command = Command::new(program);
        command
            .args([&self.model, &self.windows])
            .arg(N_WINDOWS.to_string());
        successful(&mut command)
    }

    fn together(&self) -> Vec<f32> {
        self.answers.iter().flat_map(|(_, out)| out.clone()).collect()
    }

    /// All that `consumer.c` prints.
    pub(crate) fn expected_from_c(&self) -> String {
        let mut lines = vec![
            format!("abi {ABI_VERSION}"),
            format!("options_size {}", size_of::<CallerOptions>()),
            format!(
                "options_offsets {} {} {} {}",
                std::mem::offset_of!(CallerOptions, size),
                std::mem::offset_of!(CallerOptions, level),
                std::mem::offset_of!(CallerOptions, flags),
                std::mem::offset_of!(CallerOptions, reserved),
            ),
            format!("lookback {}", self.schema.lookback()),
            format!("n_features {}", self.schema.n_features()),
            format!("n_outputs {}", self.schema.n_outputs()),
            format!("level {}", self.level),
            format!("hash {}", self.hash),
            format!("schema {}", self.schema.to_json().unwrap()),
        ];
        for (flags, out) in &self.answers {
            lines.push(answer("run", *flags, out));
            lines.push(answer("run_f64", *flags, out));
        }
        let flags = self.answers.iter().fold(0, |all, (flags, _)| all | flags);
        for _ in 0..2 {
            lines.push(answer("run_batch", flags, &self.together()));
            lines.push(answer("run_batch_f64", flags, &self.together()));
        }
        lines.join("\n") + "\n"
    }

    /// All that `consumer.cpp` prints: the same from each of its threads.
    pub(crate) fn expected_from_cpp(&self) -> String {
        format!("thread{}\n", digits(&self.together())).repeat(4)
    }
}

pub(crate) fn cases(folder: &Path) -> Vec<Case> {
    let model = |(i, (schema, bytes)): (usize, (Schema, Vec<u8>))| {
        Case::new(folder, &format!("model{i}.safetensors"), schema, &bytes)
    };
    models::small_models()
        .into_iter()
        .enumerate()
        .map(model)
        .collect()
}

/// Compiles `source` against either library and hands each program to `check`.
pub(crate) fn with_programs(compiler: &str, standard: &str, source: &str, check: impl Fn(&Path, &Case)) {
    if !has(compiler) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path());
    for program in compiler::programs(compiler, standard, source, folder.path()) {
        for case in &cases {
            check(&program, case);
        }
    }
}

#[test]
#[cfg(unix)]
fn a_c_program_gets_the_bits_that_rust_gets() {
    with_programs("cc", "-std=c11", "consumer.c", |program, case| {
        assert_eq!(case.run(program), case.expected_from_c());
    });
}

#[test]
#[cfg(target_os = "linux")]
fn threads_that_meet_in_a_session_and_a_forked_child_get_right_answers_or_none() {
    with_programs("c++", "-std=c++17", "apart.cpp", |program, case| {
        let told = "threads 1000 of 1000, 0 wrong, some right\nchild 7\nparent right\n";
        let answer = digits(&case.answers[0].1);
        assert_eq!(case.run(program), format!("answer{answer}\n{told}"));
    });
}

#[test]
#[cfg(unix)]
fn threads_of_a_cpp_program_share_a_model_and_get_the_bits_that_rust_gets() {
    with_programs("c++", "-std=c++17", "consumer.cpp", |program, case| {
        assert_eq!(case.run(program), case.expected_from_cpp());
    });
}

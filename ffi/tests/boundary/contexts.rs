//! Programs in C11 and C++ set contexts, run shorter windows and read weights with the bits that Rust gets.

use crate::compiler::{self, Program, answer};
use crate::library::successful;
use crate::models::families;
use crate::models::noise;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use tickfuse::CallerInterpretation;
use tickfuse_core::bundle::{Net, Schema};
use tickfuse_core::{Interpretation, Level, Session};

/// A model file of a family, a window and a session.
struct Case {
    schema: Schema,
    model: PathBuf,
    window: Vec<f32>,
    window_path: PathBuf,
    session: Session,
}

fn write(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(path, bytes).unwrap();
}

impl Case {
    fn new(folder: &Path, schema: Schema) -> Self {
        let bytes = families::file(&schema, &families::tensors(&schema));
        let window = families::windows(&schema, 2).swap_remove(1);
        let [model, window_path] = ["model", "window"].map(|name| folder.join(name));
        std::fs::write(&model, &bytes).unwrap();
        write(&window_path, &window);
        let session = families::session(&bytes, Level::detect());
        Self {
            schema,
            model,
            window,
            window_path,
            session,
        }
    }

    /// Expects the program to print these lines.
    fn check(&self, program: &Program, kind: &str, arguments: &[String], expected: &[String]) {
        let mut command = Command::new(&program.path);
        command
            .arg(kind)
            .args([&self.model, &self.window_path])
            .args(arguments);
        program.check(&successful(&mut command), expected);
    }

    fn run(&mut self, name: &str) -> String {
        let mut out = vec![0.0; self.schema.n_outputs()];
        let flags = self.session.run(&self.window, &mut out).unwrap();
        answer(name, flags.bits(), &out)
    }
}

/// The lines of `print_interpretation`.
fn interpretation(session: &Session) -> Vec<String> {
    let all = session.interpret();
    let layout = format!(
        "layout interpretation {} {} {} {} {}",
        size_of::<CallerInterpretation>(),
        offset_of!(CallerInterpretation, n_dims),
        offset_of!(CallerInterpretation, shape),
        offset_of!(CallerInterpretation, n_values),
        offset_of!(CallerInterpretation, name)
    );
    let first = [format!("interpretations {}", all.len()), layout];
    let lines = |found: &Interpretation| {
        let shape: String = found.shape.iter().map(|n| format!(" {n}")).collect();
        [format!("shape{shape}"), answer(found.name, 0, &found.values)]
    };
    first.into_iter().chain(all.iter().flat_map(lines)).collect()
}

#[test]
#[cfg(unix)]
fn contexts_that_programs_encode_and_set_give_the_answers_that_rust_gets() {
    let folder = tempfile::tempdir().unwrap();
    let rows_path = folder.path().join("rows");
    let attends = |schema: &Schema| matches!(schema.net, Net::Xtrend(_));
    for schema in families::small_schemas().filter(attends) {
        let mut case = Case::new(folder.path(), schema);
        let model = case.session.model().clone();
        let [most, n_rows, n_columns] = model.context_shape().unwrap();
        let rows: Vec<f32> = (0..2 * n_rows * n_columns).map(|i| noise(31, i)).collect();
        write(&rows_path, &rows);
        let mut expected = vec![
            format!("context_shape {most} {n_rows} {n_columns}"),
            case.run("own"),
        ];
        case.session
            .set_contexts(&model.encode_contexts(&rows, &[1, 1]).unwrap())
            .unwrap();
        let set = case.run("set");
        assert_ne!(set["set ".len()..], expected[1]["own ".len()..]);
        let own = expected[1].clone();
        expected.extend([set.clone(), own.clone(), own, set.clone(), set]);
        expected.extend(interpretation(&case.session));
        let arguments = [rows_path.to_str().unwrap().to_owned()];
        for program in compiler::told_alike("contexts.c") {
            case.check(program, "attend", &arguments, &expected);
        }
    }
}

#[test]
#[cfg(unix)]
fn shorter_windows_from_programs_give_the_answers_and_weights_that_rust_gets() {
    let folder = tempfile::tempdir().unwrap();
    let mut case = Case::new(folder.path(), families::tft_schema(families::SMALL_TFT));
    for [n_encoder, n_decoder] in [[5, 3], [5, 1], [2, 2], [1, 3]] {
        let window = &case.window[..(n_encoder + n_decoder) * case.schema.n_features()];
        let mut out = vec![0.0; case.schema.n_outputs() / 3 * n_decoder];
        let flags = case
            .session
            .run_lengths(window, n_encoder, n_decoder, &mut out)
            .unwrap();
        let one = answer("lengths", flags.bits(), &out);
        let expected = [vec![one.clone(), one], interpretation(&case.session)].concat();
        let arguments = [n_encoder, n_decoder].map(|n| n.to_string());
        for program in compiler::told_alike("contexts.c") {
            case.check(program, "lengths", &arguments, &expected);
        }
    }
}

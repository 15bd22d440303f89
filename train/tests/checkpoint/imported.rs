//! `tickfuse import pytorch-forecasting` of a checkpoint and of what the export script wrote of it.

use crate::fixture;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn import(source: &Path, output: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tickfuse"))
        .args(["import", "pytorch-forecasting", "--name", "imported", "--output"])
        .args([output, source])
        .output()
        .unwrap()
}

fn model(source: &Path) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let output = scratch.path().join("model.safetensors");
    let done = import(source, &output);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::read(output).unwrap()
}

#[test]
fn a_checkpoint_becomes_the_same_model_file_as_its_export() {
    for net in ["pf_reals", "pf_mixed", "pf_shared", "pf_auto"] {
        let folder = fixture("nets").join(net);
        assert!(
            model(&folder) == model(&folder.join("model.ckpt")),
            "{net}: other bytes"
        );
    }
}

#[test]
fn a_file_that_is_no_checkpoint_is_refused_by_name() {
    let source = fixture("nets/pf_auto/frame.csv");
    let refused = import(&source, Path::new("never.safetensors"));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(message.contains("frame.csv: zip container"), "{message}");
}

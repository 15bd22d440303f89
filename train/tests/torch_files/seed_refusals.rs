//! What `import seed` refuses, and how it says so.

use crate::program::Work;
use crate::seeds::{metadata, seed, write_contexts};
use serde_json::{Value, json};

fn refusal(work: &Work, kind: &str, file: &str, options: &[&str]) -> String {
    let file = seed(file);
    let file = file.to_str().expect("UTF-8");
    let text = work
        .run(&[&["import", "seed", kind, file], options].concat())
        .refusal()
        .to_owned();
    assert!(!work.path("model.safetensors").exists(), "nothing was written");
    text
}

#[test]
fn the_file_under_the_models_name_is_told_from_the_model() {
    let work = Work::new();
    let text = refusal(&work, "tiny", "tiny.pt", &[]);
    let expected = "holds no weights, only the path of the file that does, under `best_ckpt`: import backend/data/models/2025-10-14/tft.ckpt";
    assert!(text.contains(expected), "{text}");
    // The same dict as pickle.dump writes it.
    let bare = b"\x80\x02}X\x09\x00\x00\x00best_ckptX\x08\x00\x00\x00tft.ckpts.";
    std::fs::write(work.path("tft.pt"), bare).expect("written");
    let ran = work.run(&["import", "seed", "tiny", "tft.pt"]);
    assert!(ran.refusal().contains("import tft.ckpt"), "{}", ran.stderr);
}

#[test]
fn a_checkpoint_of_another_seed_names_what_is_missing() {
    let work = Work::new();
    let text = refusal(&work, "tiny", "simple.pt", &[]);
    assert!(
        text.contains("tensor `head.0.weight` is missing; not yet in their place are fc.0.bias"),
        "{text}"
    );
    assert_eq!(text.matches("is missing").count(), 1, "told once: {text}");
    let text = refusal(&work, "quantile", "simple.pt", &["--classes", "a,b,c"]);
    assert!(text.contains("expected a key `model_state_dict`"), "{text}");
    let text = refusal(&work, "simple", "tiny.ckpt", &[]);
    assert!(text.contains("`epoch`: expected a tensor"), "{text}");
}

#[test]
fn a_scaler_too_few_or_too_many_is_refused() {
    let work = Work::new();
    let mut scalers = String::new();
    for name in ["close", "ret1", "sma20_gap", "sma50_gap"] {
        scalers += &format!("{name} = {{ center = 0.0, scale = 1.0 }}\n");
    }
    std::fs::write(work.path("s.toml"), &scalers).expect("written");
    let text = refusal(&work, "tiny", "tiny.ckpt", &["--scalers", "s.toml"]);
    assert!(text.contains("found no `vol_z`"), "{text}");
    scalers += "vol_z = { center = 0.0, scale = 1.0 }\nvolz = { center = 0.0, scale = 1.0 }\n";
    std::fs::write(work.path("s.toml"), &scalers).expect("written");
    let text = refusal(&work, "tiny", "tiny.ckpt", &["--scalers", "s.toml"]);
    assert!(text.contains("found `volz`"), "{text}");
}

#[test]
fn classes_must_be_named_in_the_order_of_training() {
    let work = Work::new();
    let text = refusal(
        &work,
        "quantile",
        "quantile.pth",
        &["--accept", "class-index-quantiles"],
    );
    assert!(
        text.contains("--classes: the file names no classes") && text.contains("disagree"),
        "{text}"
    );
    let options = ["--classes", "down,up", "--accept", "class-index-quantiles"];
    let text = refusal(&work, "quantile", "quantile.pth", &options);
    assert!(
        text.contains("--classes: expected 3 names, as `model_config.num_classes` says, found 2"),
        "{text}"
    );
    let options = ["--classes", "BUY,SELL,HOLD", "--accept", "class-index-quantiles"];
    let text = refusal(&work, "quantile", "quantile.pth", &options);
    assert!(
        text.contains("class-order: ") && text.contains("--accept class-order"),
        "{text}"
    );
}

#[test]
fn quantiles_of_a_class_index_have_to_be_accepted_by_name() {
    let work = Work::new();
    let text = refusal(&work, "quantile", "quantile.pth", &["--classes", "down,flat,up"]);
    assert!(
        text.contains("class-index-quantiles: the quantile head was trained on the class's index"),
        "{text}"
    );
    assert!(text.contains("--accept class-index-quantiles"), "{text}");
}

fn xtrend(work: &Work, metadata: &Value) -> String {
    std::fs::write(work.path("meta.json"), metadata.to_string()).expect("written");
    let options = ["--metadata", "meta.json", "--contexts", "c.safetensors"];
    refusal(work, "xtrend", "xtrend.pt", &options)
}

fn changed(pointer: &str, value: Value) -> Value {
    let mut document = metadata("sharpe");
    *document.pointer_mut(pointer).expect(pointer) = value;
    document
}

#[test]
fn metadata_that_does_not_fit_the_tensors_names_both() {
    let work = Work::new();
    write_contexts(&work.path("c.safetensors"), |_| {});
    let text = xtrend(&work, &changed("/asset_names", json!(["A", "B"])));
    assert!(
        text.contains("tensor `entity_embed.embedding.weight`: expected shape [2, 12], found [6, 12]"),
        "{text}"
    );
    let text = xtrend(&work, &changed("/config/ctx_len", json!(8)));
    assert!(
        text.contains("tensor `contexts.input`: expected shape [5, 8, 4], found [5, 9, 4]"),
        "{text}"
    );
    let text = xtrend(&work, &changed("/normalization/means", json!([0.0])));
    assert!(
        text.contains("`normalization.means`: expected 4 values, as there are `feature_names`, found 1"),
        "{text}"
    );
    let text = xtrend(&work, &changed("/config/loss_mode", json!("mse")));
    assert!(
        text.contains("unknown variant `mse`, expected one of `sharpe`, `joint_mle`, `joint_quantile`"),
        "{text}"
    );
}

#[test]
fn contexts_are_needed_and_must_hold_values() {
    let work = Work::new();
    let text = xtrend(&work, &metadata("sharpe"));
    assert!(text.contains("c.safetensors"), "{text}");
    write_contexts(&work.path("c.safetensors"), |rows| rows[2 * 36..3 * 36].fill(0.0));
    let text = xtrend(&work, &metadata("sharpe"));
    assert!(
        text.contains("context 2 of `contexts.input`: expected values, found zeros alone"),
        "{text}"
    );
}

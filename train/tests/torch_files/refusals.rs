//! What `import torch` refuses, and how it says so.

use crate::program::{Work, fixtures};

fn quantile_tft() -> (Work, String) {
    let work = Work::new();
    let inputs: String = (0..5)
        .map(|i| format!("[[inputs]]\nname = \"x{i:02}\"\nscaler = {{ center = 0.0, scale = 1.0 }}\n"))
        .collect();
    let config = format!(
        "name = \"q\"\n[net]\nfamily = \"quantile_tft\"\nlookback = 16\nn_hidden = 12\nn_heads = 4\nn_layers = 2\n\
         n_classes = 3\nn_quantiles = 3\n{inputs}\
         [[outputs]]\nname = \"class\"\nkind = \"softmax\"\nlabels = [\"down\", \"flat\", \"up\"]\nunit = \"probability\"\n\
         [[outputs]]\nname = \"q\"\nkind = \"quantiles\"\nlabels = [\"p10\", \"p50\", \"p90\"]\nlevels = [0.1, 0.5, 0.9]\nunit = \"log_return\"\n"
    );
    (work, config)
}

fn refusal(work: &Work, config: &str) -> String {
    std::fs::write(work.path("net.toml"), config).expect("written");
    let weights = fixtures("nets/quantile_tft/weights.safetensors");
    let weights = weights.to_str().expect("UTF-8");
    let ran = work.run(&["import", "torch", "--weights", weights, "--config", "net.toml"]);
    let text = ran.refusal().to_owned();
    assert!(!work.path("model.safetensors").exists(), "nothing was written");
    text
}

#[test]
fn sizes_that_are_not_those_of_the_tensors_name_the_tensor() {
    let (work, config) = quantile_tft();
    let text = refusal(&work, &config.replace("n_hidden = 12", "n_hidden = 16"));
    assert!(
        text.contains("tensor `vsn.gating.0.weight`: expected shape [16, 5], found [12, 5]"),
        "{text}"
    );
    let text = refusal(&work, &config.replace("n_layers = 2", "n_layers = 3"));
    assert!(
        text.contains("tensor `encoder_lstm.weight_ih_l2` is missing"),
        "{text}"
    );
    let text = refusal(&work, &config.replace("n_layers = 2", "n_layers = 1"));
    assert!(
        text.contains("tensors that the network has no place for: encoder_lstm.bias_hh_l1"),
        "{text}"
    );
}

#[test]
fn a_configuration_that_no_model_file_may_have_is_refused_before_the_tensors() {
    let (work, config) = quantile_tft();
    let text = refusal(&work, &config.replace("n_heads = 4", "n_heads = 5"));
    assert!(
        text.contains("net.n_heads: expected a divisor of 12, found 5"),
        "{text}"
    );
    let text = refusal(&work, &config.replace("\"down\", ", ""));
    assert!(
        text.contains("outputs: expected labels for the head's 6 columns, found 5"),
        "{text}"
    );
    let text = refusal(
        &work,
        &config.replace("scaler = { center = 0.0, scale = 1.0 }", ""),
    );
    assert!(text.contains("x00"), "{text}");
}

#[test]
fn an_unknown_family_lists_those_that_are_known() {
    let (work, config) = quantile_tft();
    let text = refusal(&work, &config.replace("quantile_tft", "informer"));
    assert!(text.contains("informer") && text.contains("xtrend"), "{text}");
}

//! The examples of `train/docs/import.md` import the nets whose names they carry.

use crate::families::write_weights;
use crate::program::{Work, fixtures};
use std::path::Path;

#[test]
fn every_example_of_the_guide_imports() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/import.md");
    let text = std::fs::read_to_string(guide).expect("the guide");
    let blocks: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().expect("its end"))
        .collect();
    assert_eq!(blocks.len(), 4, "one example per family");
    for block in blocks {
        let config: toml::Table = toml::from_str(block).expect("TOML");
        let (work, name) = (Work::new(), config["name"].as_str().expect("a name"));
        std::fs::write(work.path("net.toml"), block).expect("written");
        write_weights(name, &work.path("w.safetensors"));
        let ran = work.run(&[
            "--json",
            "import",
            "torch",
            "--weights",
            "w.safetensors",
            "--config",
            "net.toml",
        ]);
        assert_eq!(ran.document()["model"], name);
        let answers = work.answers(
            "model.safetensors",
            &fixtures("nets").join(name).join("golden.npz"),
        );
        assert!(answers.data.iter().all(|v| v.is_finite()), "{name}");
    }
}

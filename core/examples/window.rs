//! Opens a model file and answers one window: `cargo run --release -p tickfuse-core --example window -- model.safetensors`.

use tickfuse_core::{Model, OpenOptions, Session};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: window MODEL.safetensors")?;
    let model = Model::open(path, OpenOptions::default())?; // mapped, checked, golden windows run
    let schema = model.schema();
    let mut session = Session::new(&model, 1); // allocates here, never again
    let row: Vec<f64> = schema
        .inputs
        .iter()
        .map(|i| i.scaler.map_or(0.0, |s| s.center))
        .collect();
    let window = row.repeat(schema.lookback()); // raw rows, oldest first: [lookback, n_features]
    let mut out = vec![0.0; schema.n_outputs()];
    let flags = session.run(&window, &mut out)?;
    println!(
        "{:?} = {out:?} ({}, flags {})",
        schema.output_names(),
        model.level().name(),
        flags.bits()
    );
    Ok(())
}

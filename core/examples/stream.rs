//! Pushes the rows of a model's golden windows one by one: `cargo run --release -p tickfuse-core --example stream -- model.safetensors`.

use tickfuse_core::{Model, OpenOptions, Step, Stream};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: stream MODEL.safetensors")?;
    let model = Model::open(path, OpenOptions::default())?;
    let mut stream = Stream::new(&model)?; // allocates here, never again
    let mut out = vec![0.0; model.schema().n_outputs()];
    let rows = &model.bundle().golden().input;
    for row in rows.chunks_exact(model.schema().n_features()) {
        match stream.push(row, &mut out)? {
            Step::Answer(flags) => println!("{out:?} (flags {})", flags.bits()),
            Step::WarmingUp { remaining } => println!("{remaining} rows to the first answer"),
        }
        stream.prepare(); // all that the next answer need not wait for
    }
    Ok(())
}

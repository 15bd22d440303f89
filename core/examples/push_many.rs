//! Pushes a hundred thousand rows between two lines on stderr, to be watched from outside:
//!
//! ```text
//! cargo build --release -p tickfuse-core --example push_many
//! strace -f -o calls target/release/examples/push_many model.safetensors
//! sed -n '/begin/,/end/p' calls   # the two lines, and every system call between them
//! ```

use tickfuse_core::{Model, OpenOptions, Stream};

const N_ROWS: usize = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("usage: push_many MODEL.safetensors")?;
    let model = Model::open(path, OpenOptions::default())?;
    let n_features = model.schema().n_features();
    let rows = &model.bundle().golden().input;
    let mut stream = Stream::new(&model)?;
    let mut out = vec![0.0; model.schema().n_outputs()];
    let mut n_answers = 0;
    eprintln!("begin");
    for row in rows.chunks_exact(n_features).cycle().take(N_ROWS) {
        let _ = stream.peek(row, &mut out)?;
        let step = stream.push(row, &mut out)?;
        n_answers += usize::from(matches!(step, tickfuse_core::Step::Answer(_)));
        stream.prepare();
    }
    eprintln!("end");
    println!("{n_answers} answers of {N_ROWS} rows");
    Ok(())
}

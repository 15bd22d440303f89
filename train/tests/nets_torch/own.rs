//! The forms no library has, against own `PyTorch` modules written from the formulas.

use crate::fixture::{AnyNet, Tensors, input_names, net, tolerance};
use crate::labels::{Labels, loss};
use crate::train::{Answer, Case, Optimiser};
use tickfuse_train::nets::Net;
use tickfuse_train::ops::real::Real;
use tickfuse_train::tape::Var;
use tickfuse_train::tape::engine::Graph;

struct Plain;

impl Answer<AnyNet> for Plain {
    fn answer<R: Real>(&self, net: &AnyNet, graph: &mut Graph<'_, R>, x: Var) -> Var {
        net.forward(graph, x)
    }
}

fn agrees(name: &str) {
    let (net, file) = (
        net(name, &input_names(name)),
        Tensors::open(name, "train.safetensors"),
    );
    let training = file.training();
    let labels = Labels {
        batch: file.shape("x")[1],
        n_columns: net.n_outputs(),
        y: file.values("y"),
    };
    let kind = training["loss"].as_str().unwrap();
    let option = |key: &str| training["optimiser"][key].as_f64();
    Case {
        name,
        net: &net,
        file: &file,
        x: file.values("x"),
        loss: &|out| loss(kind, out, &labels),
        loss_tolerance: tolerance(&format!("nets/{name}/train.safetensors"), "loss"),
        optimiser: Optimiser {
            lr: option("lr").unwrap(),
            weight_decay: option("weight_decay").unwrap(),
            clip_norm: option("clip_norm"),
        },
    }
    .compare(&Plain);
}

/// A test per fixture.
macro_rules! agree {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            agrees($name);
        })*
    };
}

agree! {
    the_quantile_tft_trains_as_in_pytorch: "quantile_tft",
    the_tft_in_googles_form_trains_as_in_pytorch: "tft_google",
    the_tft_in_momentum_form_trains_as_in_pytorch: "tft_momentum",
    the_tft_without_static_variables_trains_as_in_pytorch: "tft_static_free",
    the_paper_s_x_trend_with_positions_trains_as_in_pytorch: "xtrend_position",
    the_paper_s_x_trend_with_a_gaussian_trains_as_in_pytorch: "xtrend_gaussian",
    the_paper_s_x_trend_with_quantiles_trains_as_in_pytorch: "xtrend_quantile",
    the_paper_s_x_trend_over_equal_times_trains_as_in_pytorch: "xtrend_time_equivalent",
    the_paper_s_x_trend_without_entities_trains_as_in_pytorch: "xtrend_zero_shot",
    the_shared_x_trend_with_a_gaussian_trains_as_in_pytorch: "xtrend_shared",
    the_shared_x_trend_with_positions_trains_as_in_pytorch: "xtrend_shared_position",
}

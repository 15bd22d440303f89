//! What a good model file offers: mapped weights, golden tensors, a stable hash, and a text others can read.
#![cfg(feature = "std")]

mod bundle_support;

use bundle_support::{HASH_DIGITS, Parts, open, rule, schema, sign, valid};
use half::bf16;
use safetensors::{Dtype as ForeignDtype, SafeTensors};
use tickfuse_core::bundle::{ALIGNMENT, Bundle, Dtype, OpenOptions, Precision, View};

const OPTIONS: OpenOptions = OpenOptions { verify_hash: true };

/// A bundle file in its own folder.
fn on_disk(file: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, file).unwrap();
    (dir, path)
}

#[test]
fn an_opened_file_is_mapped_and_its_views_point_into_the_mapping() {
    let (_dir, path) = on_disk(&valid(Precision::F32));
    let bundle = Bundle::open(&path, OPTIONS).unwrap();
    assert!(bundle.is_mapped());
    let file = bundle.storage().bytes().as_ptr_range();
    for info in bundle.tensors() {
        let view = bundle.tensor::<f32>(&info.name, &info.shape).unwrap();
        let values = view.as_ptr_range();
        assert!(file.start <= values.start.cast() && values.end.cast() <= file.end);
        assert_eq!(values.start.addr() - file.start.addr(), info.range.start);
        assert!(info.is_golden() || values.start.addr().is_multiple_of(ALIGNMENT));
    }
}

#[test]
fn a_copied_file_is_independent_of_the_disk() {
    let file = valid(Precision::Bf16);
    let (_dir, path) = on_disk(&file);
    let bundle = Bundle::open_copied(&path, OPTIONS).unwrap();
    std::fs::write(&path, b"").unwrap();
    assert!(!bundle.is_mapped());
    assert_eq!(bundle.storage().bytes(), file);
}

#[test]
fn a_mapped_file_survives_its_replacement_by_rename() {
    let file = valid(Precision::F32);
    let (dir, path) = on_disk(&file);
    let bundle = Bundle::open(&path, OPTIONS).unwrap();
    let next = dir.path().join("next");
    std::fs::write(&next, valid(Precision::Bf16)).unwrap();
    std::fs::rename(&next, &path).unwrap();
    assert_eq!(bundle.storage().bytes(), file);
    assert_eq!(
        Bundle::open(&path, OPTIONS).unwrap().schema().precision,
        Precision::Bf16
    );
}

#[test]
fn views_outlive_the_bundle() {
    let (_dir, path) = on_disk(&valid(Precision::F32));
    let weights: View<f32> = {
        let bundle = Bundle::open(&path, OPTIONS).unwrap();
        bundle.tensor("lstm.0.recurrent", &[1, 16, 4, 16]).unwrap()
    };
    assert!(weights.storage().is_mapped());
    let sum = std::thread::spawn(move || weights.iter().map(|w| w.abs()).sum::<f32>());
    assert!(sum.join().unwrap() > 1.0);
}

#[test]
fn golden_tensors_come_with_their_number_of_windows() {
    let model = open(&valid(Precision::Bf16)).unwrap();
    let golden = model.bundle().golden();
    assert_eq!(golden.n_windows, 2);
    assert_eq!(golden.input.len(), 2 * 3 * 2);
    assert_eq!(*golden.output, [0.5, 0.5]);
}

#[test]
fn type_and_shape_of_a_tensor_must_be_the_wanted_ones() {
    let model = open(&valid(Precision::F32)).unwrap();
    let bundle = model.bundle();
    let found = |result: Result<View<f32>, _>| result.err().map(|e| rule(&e));
    assert_eq!(found(bundle.tensor("head.0.bias", &[1, 16])), None);
    let shape = found(bundle.tensor("head.0.bias", &[16]));
    assert_eq!(shape.as_deref(), Some("TensorShape"));
    let missing = found(bundle.tensor("head.1.bias", &[1, 16]));
    assert_eq!(missing.as_deref(), Some("MissingTensor"));
    let other = bundle.tensor::<bf16>("head.0.bias", &[1, 16]).err().unwrap();
    assert_eq!(
        other.to_string(),
        "tensor `head.0.bias`: expected type BF16, found F32"
    );
}

#[test]
fn a_reader_names_the_first_weight_nobody_took() {
    let model = open(&valid(Precision::F32)).unwrap();
    let bundle = model.bundle();
    let mut reader = bundle.reader();
    reader.tensor::<f32>("lstm.0.input", &[1, 2, 4, 16]).unwrap();
    let error = reader.finish().err().unwrap();
    assert_eq!(
        error.to_string(),
        "tensor `lstm.0.recurrent` has no place in this network"
    );
}

#[test]
fn the_hash_is_sha256_with_its_digits_as_zeros_and_can_be_declined() {
    let mut file = valid(Precision::F32);
    let digits = String::from_utf8(file[HASH_DIGITS].to_vec()).unwrap();
    assert_eq!(open(&file).unwrap().hash(), digits);
    let mut signed_again = file.clone();
    sign(&mut signed_again);
    assert_eq!(signed_again, file);
    let at = Parts::of(&file).data.len() - 64;
    let last = file.len() - at;
    file[last] ^= 1;
    assert_eq!(open(&file).err().map(|e| rule(&e)).as_deref(), Some("Hash"));
    let unverified = Bundle::from_bytes(&file, OpenOptions { verify_hash: false }).unwrap();
    assert_eq!(unverified.hash_hex(), digits);
}

#[test]
fn text_that_looks_like_the_hash_is_only_text() {
    let opening = r#"{"__metadata__":{"tickfuse_sha256":""#;
    let mut posing = schema(Precision::F32);
    posing.name = format!("{opening}{}\"", "0".repeat(64));
    let escaped = serde_json::to_string(&posing.to_json().unwrap()).unwrap();
    let parts = Parts::of(&valid(Precision::F32));
    let start = parts.json.find("\"tickfuse\":").unwrap() + "\"tickfuse\":".len();
    let end = parts.json.find("},\"lstm.0.input\"").unwrap();
    let mut edited = parts;
    edited.json.replace_range(start..end, &escaped);
    assert_eq!(open(&edited.file()).unwrap().schema().name, posing.name);
}

#[test]
fn the_safetensors_crate_reads_the_same_tensors() {
    for precision in [Precision::F32, Precision::Bf16] {
        let file = valid(precision);
        let model = open(&file).unwrap();
        let bundle = model.bundle();
        let foreign = SafeTensors::deserialize(&file).unwrap();
        assert_eq!(foreign.len(), bundle.tensors().len());
        for info in bundle.tensors() {
            let tensor = foreign.tensor(&info.name).unwrap();
            assert_eq!(tensor.shape(), info.shape);
            assert_eq!(tensor.data(), &file[info.range.clone()]);
            let dtype = match info.dtype {
                Dtype::F32 => ForeignDtype::F32,
                Dtype::F64 => ForeignDtype::F64,
                Dtype::Bf16 => ForeignDtype::BF16,
                Dtype::I16 => ForeignDtype::I16,
            };
            assert_eq!(tensor.dtype(), dtype);
        }
        let (_, metadata) = SafeTensors::read_metadata(&file).unwrap();
        let document = metadata.metadata().as_ref().unwrap()["tickfuse"].clone();
        let read = tickfuse_core::bundle::Schema::from_json(&document).unwrap();
        assert_eq!(&read, bundle.schema());
    }
}

#[test]
fn a_file_of_the_safetensors_crate_is_not_a_bundle() {
    let values = [0_u8; 64];
    let view = safetensors::tensor::TensorView::new(ForeignDtype::F16, vec![32], &values).unwrap();
    let file = safetensors::serialize([("w", view)], None).unwrap();
    assert_eq!(open(&file).err().map(|e| rule(&e)).as_deref(), Some("NotABundle"));
}

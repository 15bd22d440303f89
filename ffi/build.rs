//! Names the shared library after the major number of the interface, which the header states.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=include/tickfuse.h");
    println!("cargo:rerun-if-changed=build.rs");
    let is_elf = env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "unix")
        && env::var("CARGO_CFG_TARGET_VENDOR").is_ok_and(|vendor| vendor != "apple");
    if is_elf {
        let major = major_number();
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libtickfuse.so.{major}");
    }
}

fn major_number() -> u32 {
    let folder = env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo");
    let header = Path::new(&folder).join("include/tickfuse.h");
    let text = fs::read_to_string(&header).unwrap_or_else(|e| panic!("{}: {e}", header.display()));
    let digits = text
        .lines()
        .find_map(|line| line.strip_prefix("#define TICKFUSE_ABI_VERSION 0x"))
        .expect("the header defines TICKFUSE_ABI_VERSION as a hexadecimal number");
    u32::from_str_radix(digits, 16).expect("hexadecimal digits") >> 16
}

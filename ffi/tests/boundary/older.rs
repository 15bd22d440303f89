//! A program of the first version of the header goes on with this library.

use crate::consumers::with_programs;
use crate::header::{declarations, defined_numbers};

const FIRST: &str = include_str!("../c/abi_1_0/tickfuse.h");
const TODAY: &str = include_str!("../../include/tickfuse.h");

#[test]
#[cfg(unix)]
fn a_program_of_the_first_header_gets_the_bits_that_rust_gets() {
    with_programs("cc", "-std=c11", "abi_1_0/consumer.c", |program, case| {
        assert_eq!(case.run(program), case.expected_from_c());
    });
}

#[test]
fn every_number_of_the_first_header_means_today_what_it_meant() {
    let today = defined_numbers(TODAY);
    for (name, number) in defined_numbers(FIRST) {
        match name.as_str() {
            "TICKFUSE_ABI_VERSION" => assert!(today[&name] >= number && today[&name] >> 16 == number >> 16),
            _ => assert_eq!(today.get(&name), Some(&number), "{name}"),
        }
    }
}

#[test]
fn every_declaration_of_the_first_header_stands_unchanged() {
    let today = declarations(TODAY);
    for declaration in declarations(FIRST) {
        assert!(today.contains(&declaration), "{declaration}");
    }
}

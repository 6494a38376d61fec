//! Builds this crate again when a part of the schema is added.

fn main() {
    println!("cargo:rerun-if-changed=../schemas");
}

//! Makes the folder of the built dashboard, so that this crate also builds where the dashboard was not built,
//! and builds this crate again when the dashboard was.

fn main() {
    println!("cargo:rerun-if-changed=dashboard/dist");
    if let Err(error) = std::fs::create_dir_all("dashboard/dist") {
        println!("cargo:warning=projections/dashboard/dist cannot be made: {error}");
    }
}

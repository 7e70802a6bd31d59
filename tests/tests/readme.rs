//! The README's tour, run as it is printed.

use std::path::Path;

use lakehouse_tests::{Server, section, tour};

#[test]
fn the_tour_prints_what_the_readme_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(file).expect("the README");
    let server = Server::start_blocking();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let part = section(&readme, "## Five minutes");
    let compared = tour(&part, server.base(), folder.path(), &[]);
    assert_eq!(compared, 9, "commands of the tour");
}

//! The README's tour, run as it is printed.

use lakehouse_tests::{Server, repository, section, tour};

#[test]
fn the_tour_prints_what_the_readme_says() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("the README");
    let server = Server::start_blocking();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let part = section(&readme, "## Five minutes");
    let compared = tour(&part, server.base(), folder.path(), &[]);
    assert_eq!(compared, 9, "commands of the tour");
}

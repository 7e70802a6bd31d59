//! The first section of `docs/plugins.md`, run as it is printed.

use std::path::Path;
use std::process::{Command, Output};

use lakehouse_tests::{Server, repository, section, tour};

use crate::shell;

#[test]
fn a_plugin_is_made_built_deployed_and_called_as_the_guide_says() {
    let guide = repository().join("docs/plugins.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let server = runtime.block_on(Server::builder().plugins(&[]).start());
    let (tools, folder) = (tempfile::tempdir(), tempfile::tempdir());
    let (tools, folder) = (tools.expect("a folder"), folder.expect("a folder"));
    let path = shell::path(tools.path());
    let env = [("PATH", path.as_str()), ("LAKEHOUSE_URL", server.base())];
    let part = section(&guide, "## Five minutes");
    let compared = tour(&part, server.base(), folder.path(), &env);
    assert_eq!(compared, 4, "commands of the guide");

    // A version that fails its own test stays out, and is told why.
    let krate = folder.path().join("hello");
    let source = krate.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).expect("the source");
    let works = "greeting(None).map(drop)";
    assert_eq!(text.matches(works).count(), 1, "{text}");
    let fails = text.replace(works, "greeting(Some(\"\")).map(drop)");
    std::fs::write(&source, fails.replace("hello, ", "good day, ")).expect("a change");
    let built = run(&krate, "cargo build --release --target wasm32-wasip2", &env);
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    assert!(!errors.contains("warning"), "{errors}");
    let deploy = "lakehouse plugin deploy target/wasm32-wasip2/release/hello.wasm";
    let refused = run(&krate, deploy, &env);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    let why = "its self-test failed: 400 Bad Request: `name` is empty";
    assert!(errors.contains(why), "{errors}");
    let greets = format!("curl -sS '{}/v1/hello?name=you'", server.base());
    let greeting = run(&krate, &greets, &env).stdout;
    assert_eq!(String::from_utf8_lossy(&greeting), "hello, you");
}

fn run(folder: &Path, command: &str, env: &[(&str, &str)]) -> Output {
    let mut bash = Command::new("bash");
    let bash = bash.args(["-euc", command]).current_dir(folder);
    bash.envs(env.iter().copied()).output().expect("bash")
}

//! What tests ask of a plugin: what it sees, what it says, how it ends.
//!
//! | path | what happens |
//! |---|---|
//! | `/probe/headers` | answers with the request's headers as JSON |
//! | `/probe/say` | says one line to standard output, to standard error and to the log, and half a line more |
//! | `/probe/panic` | panics, a few calls deep |
//! | `/probe/exit` | exits |
//! | `/probe/compute` | computes for a tenth of a second or so |

use std::collections::BTreeMap;
use std::hint;
use std::io::Write;

use lakehouse_sdk::http::{Handler, Problem, Request, Response};
use lakehouse_sdk::log::{self, Level};

struct Probe;

impl Handler for Probe {
    fn handle(request: Request) -> Result<Response, Problem> {
        match request.path().trim_start_matches("/probe/") {
            "headers" => Ok(headers(&request)),
            "say" => say(),
            "panic" => panic_deep(&request),
            "exit" => std::process::exit(3),
            "compute" => Ok(compute()),
            other => Err(Problem::new(404, format!("`{other}` is nothing to probe"))),
        }
    }
}

fn headers(request: &Request) -> Response {
    let seen: BTreeMap<&str, String> = request
        .headers()
        .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
        .collect();
    Response::new(200).json(&seen)
}

fn say() -> Result<Response, Problem> {
    println!("said to standard output");
    eprintln!("said to standard error");
    log::write(Level::Info, "said to the log", &[]);
    print!("said without an end");
    let flushed = std::io::stdout().flush();
    flushed.map_err(|error| Problem::new(500, error.to_string()))?;
    Ok(Response::new(204))
}

fn compute() -> Response {
    let sum = (0..100_000_000_u64).fold(0, |sum, number| hint::black_box(sum ^ number));
    Response::new(200).json(&sum)
}

#[inline(never)]
fn panic_deep(request: &Request) -> ! {
    panic_deeper(request.query().unwrap_or("nothing"))
}

#[inline(never)]
fn panic_deeper(wanted: &str) -> ! {
    panic!("the probe was asked for {wanted}")
}

lakehouse_sdk::export_http!(Probe);

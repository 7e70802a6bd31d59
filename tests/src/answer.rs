//! What a test expects of an answer. Each of these shows the answer if it is
//! another one.

use std::time::{Duration, Instant};

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

/// The longest that a change may take to be seen. A second is the aim; the rest is for
/// machines that do much at once.
const SOON: Duration = Duration::from_secs(10);

/// Asks until the answer has this status.
///
/// # Panics
/// If it has not after 10 seconds.
pub async fn until<F: Future<Output = Response>>(status: u16, ask: impl Fn() -> F) {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if answer.status() == status {
            return;
        }
        let text = answer.text().await.expect("the body ends as announced");
        assert!(begun.elapsed() < SOON, "not {status}: {text}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn content_type(response: &Response) -> String {
    response
        .headers()
        .get(CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}

/// The answer itself, if it has this status.
#[track_caller]
pub fn expect_status(response: Response, status: u16) -> impl Future<Output = Response> {
    let caller = std::panic::Location::caller();
    async move {
        if response.status().as_u16() != status {
            let got = response.status();
            let url = response.url().clone();
            let text = response
                .text()
                .await
                .unwrap_or_else(|error| error.to_string());
            panic!("{caller}: {url} answered {got}, not {status}: {text}");
        }
        response
    }
}

/// The text of an answer with this status.
#[track_caller]
pub fn expect_text(response: Response, status: u16) -> impl Future<Output = String> {
    let answer = expect_status(response, status);
    async move {
        answer
            .await
            .text()
            .await
            .expect("the body ends as announced")
    }
}

/// The JSON of an answer with this status.
#[track_caller]
pub fn expect_json(response: Response, status: u16) -> impl Future<Output = Value> {
    let caller = std::panic::Location::caller();
    let answer = expect_status(response, status);
    async move {
        let answer = answer.await;
        let media = content_type(&answer);
        let text = answer.text().await.expect("the body ends as announced");
        assert!(
            media.starts_with("application/json") || media.starts_with("application/problem+json"),
            "{caller}: {media:?} is not JSON: {text}"
        );
        match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => panic!("{caller}: {error} in {text}"),
        }
    }
}

/// The problem (RFC 9457) of an answer with this status: checks that it is one
/// and that it says so.
#[track_caller]
pub fn expect_problem(response: Response, status: u16) -> impl Future<Output = Value> {
    let caller = std::panic::Location::caller();
    let media = content_type(&response);
    let request_id = response.headers().contains_key("x-request-id");
    let answer = expect_json(response, status);
    async move {
        let problem = answer.await;
        assert_eq!(media, "application/problem+json", "{caller}: {problem}");
        assert!(request_id, "{caller}: no x-request-id with {problem}");
        assert_eq!(problem["status"], status, "{caller}: {problem}");
        for key in ["type", "title", "detail"] {
            let text = problem[key].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{caller}: no {key} in {problem}");
        }
        problem
    }
}

//! JSON bodies with anything in them changed: taken for what they say, or refused with
//! nothing changed.

use std::collections::BTreeSet;

use fastrand::Rng;
use lakehouse_tests::{Server, expect_json, expect_problem};
use serde_json::{Value, json};

use crate::{INDEX, count, get, make, post, start};

/// What stands in bodies that break parsers.
const PIECES: [&str; 24] = [
    "-",
    "0",
    "1e999",
    "-1e-999",
    "9007199254740993",
    "00",
    ".5",
    "null",
    "true",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\u{feff}",
    "[[1]]",
    "{\"a\":{}}",
    "\"id\":\"a\",",
    "//",
];

/// A body with one or two changes.
fn changed(rng: &mut Rng, good: &[u8]) -> Vec<u8> {
    let mut body = good.to_vec();
    for _ in 0..rng.usize(1..=2) {
        if body.is_empty() {
            break;
        }
        let at = rng.usize(..body.len());
        let end = (at + rng.usize(1..12)).min(body.len());
        match rng.u8(..7) {
            0 => body[at] ^= 1 << rng.u8(..8),
            // As likely as not that makes another body of the same form.
            4 | 5 => {
                let digits = body.iter_mut().filter(|byte| byte.is_ascii_digit());
                if let Some(digit) = rng.choice(digits.collect::<Vec<_>>()) {
                    *digit = rng.digit(10) as u8;
                }
            }
            1 => drop(body.drain(at..end)),
            2 => {
                let again = body[at..end].to_vec();
                let to = rng.usize(..=body.len());
                body.splice(to..to, again);
            }
            3 => drop(body.splice(at..end, rng.choice(PIECES).unwrap().bytes())),
            _ => drop(body.splice(at..at, rng.choice(PIECES).unwrap().bytes())),
        }
    }
    body
}

async fn send(server: &Server, path: &str, body: Vec<u8>) -> reqwest::Response {
    let request = server.post(&format!("{INDEX}{path}"));
    let request = request
        .header("content-type", "application/json")
        .body(body);
    request.send().await.unwrap()
}

/// The ids that a body of items or ids names.
fn ids(body: &[u8]) -> BTreeSet<String> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let items = body["items"].as_array().into_iter().flatten();
    let named = body["ids"].as_array().into_iter().flatten();
    items
        .map(|item| &item["id"])
        .chain(named)
        .map(|id| id.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_changed_body_is_taken_or_refused() {
    const ROUNDS: usize = 1500;
    let mut server = start().await;
    make(&server, "l2").await;
    let items = json!({"items": [
        {"id": "a", "vector": [1, 2.5, -3e2], "metadata": {"n": 1, "t": "é", "l": [1, {"x": null}]}},
        {"id": "b", "vector": [0.25, 0, 7]},
    ]});
    let search = json!({"vector": [1, 2, 3], "k": 3, "ef": 20, "include": ["metadata", "vector"],
        "filter": {"$or": [{"n": {"$gte": 0, "$lt": 9}}, {"t": {"$prefix": "é"}}, {"l": {"$exists": true}}]}});
    let bodies = [
        ("/x/add", items),
        ("/x/search", search),
        ("/x/delete", json!({"ids": ["a", "zz"]})),
    ]
    .map(|(path, body)| (path, serde_json::to_vec(&body).unwrap()));

    let mut rng = Rng::with_seed(7);
    let mut held = BTreeSet::new();
    let (mut taken, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let (path, good) = &bodies[round % bodies.len()];
        let body = changed(&mut rng, good);
        let text = String::from_utf8_lossy(&body).into_owned();
        let answer = send(&server, path, body.clone()).await;
        if answer.status() != 200 {
            refused += 1;
            expect_problem(answer, 400).await;
        } else {
            taken += 1;
            let answer = expect_json(answer, 200).await;
            match *path {
                "/x/add" => held.extend(ids(&body)),
                "/x/delete" => {
                    let before = held.len();
                    held = &held - &ids(&body);
                    assert_eq!(answer["deleted"], before - held.len(), "{text}");
                }
                _ => {
                    let found = answer["results"].as_array().unwrap();
                    assert!(found.len() <= held.len(), "{text}: {answer}");
                }
            }
        }
        assert_eq!(count(&server).await, held.len() as u64, "{path} {text}");
    }
    assert!(taken > 100 && refused > 100, "{taken} taken, {refused} not");

    // What was taken is what the log says, too.
    server.kill9();
    server.restart().await;
    assert_eq!(count(&server).await, held.len() as u64);
    for id in held
        .iter()
        .filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        expect_json(get(&server, &format!("/x/items/{id}")).await, 200).await;
    }
}

#[tokio::test]
async fn a_changed_specification_makes_an_index_or_none() {
    const ROUNDS: usize = 400;
    let server = start().await;
    let good = json!({"name": "made", "dimension": 3, "distance": "cosine", "m": 8,
        "ef_construction": 50, "quantization": "int8"});
    let good = serde_json::to_vec(&good).unwrap();
    let mut rng = Rng::with_seed(11);
    let mut made = BTreeSet::new();
    for _ in 0..ROUNDS {
        let body = changed(&mut rng, &good);
        let text = String::from_utf8_lossy(&body).into_owned();
        let answer = send(&server, "", body).await;
        match answer.status().as_u16() {
            201 => {
                let info = expect_json(answer, 201).await;
                let name = info["name"].as_str().unwrap().to_owned();
                assert!(made.insert(name), "{text}");
            }
            409 => drop(expect_problem(answer, 409).await),
            _ => drop(expect_problem(answer, 400).await),
        }
    }
    let listed = expect_json(get(&server, "").await, 200).await;
    let names = listed["indexes"].as_array().unwrap().iter();
    let names = names.map(|index| index["name"].as_str().unwrap().to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), made);
    assert!(!made.is_empty());
    for name in made {
        let query = json!({"vector": [1, 2, 3], "k": 1});
        // One of another dimension says so.
        let answer = post(&server, &format!("/{name}/search"), &query).await;
        assert!([200, 400].contains(&answer.status().as_u16()), "{name}");
    }
}

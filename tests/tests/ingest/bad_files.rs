//! Parquet and Arrow that are cut, or lie about their lengths.

use crate::{fixture, post, refused, server, table};

#[tokio::test]
async fn a_cut_file_is_refused() {
    let server = server().await;
    for (format, name) in [
        ("parquet", "wide.parquet"),
        ("arrow", "wide.arrows"),
        ("arrow", "wide.arrow"),
    ] {
        let whole = fixture(name);
        // The end of an Arrow stream may lack its mark: 8 bytes less are whole.
        for keep in [
            0,
            3,
            4,
            9,
            100,
            whole.len() / 3,
            whole.len() / 2,
            whole.len() - 1000,
        ] {
            let body = whole[..keep].to_vec();
            let problem = refused(&server, &format!("table=t&format={format}"), body, 400).await;
            assert!(
                problem["detail"].as_str().unwrap().len() > 10,
                "{name} {keep}: {problem}"
            );
        }
    }
    assert!(table(&server, "t").await.is_none());
}

#[tokio::test]
async fn what_is_another_format_is_refused() {
    let server = server().await;
    for format in ["parquet", "arrow"] {
        for body in ["a,b\n1,2\n", "PAR1PAR1", "ARROW1\0\0", "{\"a\":1}"] {
            refused(&server, &format!("table=t&format={format}"), body, 400).await;
        }
    }
}

#[tokio::test]
async fn lengths_that_lie_are_refused_and_do_not_fill_memory() {
    let server = server().await;
    let whole = fixture("wide.parquet");
    for length in [0_u32, 1, u32::MAX, i32::MAX as u32, whole.len() as u32] {
        let mut body = whole.clone();
        let at = body.len() - 8;
        body[at..at + 4].copy_from_slice(&length.to_le_bytes());
        refused(&server, "table=t&format=parquet", body, 400).await;
    }
    let whole = fixture("wide.arrows");
    for length in [1_u32, u32::MAX - 1, i32::MAX as u32, 1 << 20] {
        let mut body = whole.clone();
        body[4..8].copy_from_slice(&length.to_le_bytes());
        refused(&server, "table=t&format=arrow", body, 400).await;
    }
}

/// Every byte of the structure flipped, a few at a time: whatever it breaks,
/// the answer is an answer, and no request takes another down.
#[tokio::test]
async fn a_flipped_byte_is_survived() {
    let server = server().await;
    for (format, name) in [("parquet", "wide.parquet"), ("arrow", "wide-zstd.arrows")] {
        let whole = fixture(name);
        for at in (0..whole.len()).step_by(37) {
            let mut body = whole.clone();
            body[at] ^= 0xFF;
            let table = format!("f{at}");
            let answer = post(&server, &format!("table={table}&format={format}"), body).await;
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            assert!(
                matches!(status, 201 | 400 | 409),
                "{name} at {at}: {status} {text}"
            );
            server
                .delete(&format!("/v1/catalog/tables/default/{table}"))
                .send()
                .await
                .unwrap();
        }
    }
}

/// Bytes changed at random, in the footer and in the pages: what the Parquet reader
/// checks no better than by an assertion is a bad body too.
#[tokio::test]
async fn a_parquet_file_that_its_reader_panics_on_is_refused() {
    let server = server().await;
    let whole = fixture("wide.parquet");
    let footer = u32::from_le_bytes(whole[whole.len() - 8..][..4].try_into().unwrap()) as usize;
    let footer = whole.len() - 8 - footer..whole.len() - 8;
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |end: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % end as u64) as usize
    };
    for number in 0..300 {
        let mut body = whole.clone();
        let span = match number % 3 {
            0 => footer.clone(),
            _ => 4..footer.start,
        };
        for _ in 0..=random(4) {
            let at = span.start + random(span.len());
            body[at] = [random(256) as u8, 0, 0x7F, 0x80, 0xFF][random(5)];
        }
        let query = format!("table=m{number}&format=parquet");
        let answer = post(&server, &query, body).await;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert!(
            matches!(status, 201 | 400 | 409),
            "{number}: {status} {text}"
        );
    }
}

//! Every format becomes the same rows.

use serde_json::json;

use crate::{fixture, lake, load, post, server, sql, table};
use lakehouse_tests::{expect_json, expect_problem};

/// The rows of `wide.*`, nested columns left out.
const WIDE: &str = "SELECT i8, u32, u64, \"text\", word, dec, \"day\", \"at\", utc, \"none\" FROM t \
                    ORDER BY u32 NULLS LAST";

#[tokio::test]
async fn text_formats_become_rows() {
    let server = lake().await;
    let bodies = [
        ("csv", "id,name\n1,one\n2,\n"),
        ("ndjson", "{\"id\":1,\"name\":\"one\"}\n{\"id\":2}\n"),
        (
            "json",
            "[{\"id\":1,\"name\":\"one\"},{\"id\":2,\"name\":null}]",
        ),
    ];
    for (format, body) in bodies {
        let answer = load(&server, &format!("table={format}&format={format}"), body).await;
        assert_eq!(answer["table"], format!("default.{format}"));
        assert_eq!(answer["rows"], 2);
        assert_eq!(answer["files"], 1);
        let rows = sql(
            &server,
            &format!("SELECT id, name FROM {format} ORDER BY id"),
        )
        .await;
        assert_eq!(rows, json!([[1, "one"], [2, null]]), "{format}");
    }
    load(&server, "table=one&format=json", "{\"id\":1}").await;
    load(&server, "table=one&format=json", "{\"id\":2} {\"id\":\n3}").await;
    assert_eq!(sql(&server, "SELECT sum(id) FROM one").await, json!([[6]]));
}

#[tokio::test]
async fn parquet_and_arrow_become_rows_of_every_type() {
    let server = lake().await;
    for (format, name) in [
        ("parquet", "wide.parquet"),
        ("arrow", "wide.arrows"),
        ("arrow", "wide.arrow"),
        ("arrow", "wide-zstd.arrows"),
    ] {
        let query = format!("table=t&mode=overwrite&format={format}");
        let answer = load(&server, &query, fixture(name)).await;
        assert_eq!(answer["rows"], 3, "{name}");
        let rows = sql(&server, WIDE).await;
        let first = &rows[0];
        assert_eq!(first[0], 1, "{name}: {rows}");
        assert_eq!(first[2], "18446744073709551615", "{name}: {rows}");
        assert_eq!(first[3], "grüße", "{name}: {rows}");
        assert_eq!(first[4], "a", "{name}: {rows}");
        assert_eq!(first[5], "12.34", "{name}: {rows}");
        assert_eq!(first[6], "2024-02-29", "{name}: {rows}");
        assert!(
            first[7]
                .as_str()
                .unwrap()
                .starts_with("2024-02-29T12:30:00.123"),
            "{rows}"
        );
        assert!(
            first[8]
                .as_str()
                .unwrap()
                .starts_with("2024-02-29T12:00:00"),
            "{rows}"
        );
        assert_eq!(rows[1][1], 4_294_967_295_u64, "{name}: {rows}");
        assert_eq!(rows[2][0], -128, "{name}: {rows}");
        assert!(rows[2][9].is_null());
        let nested = sql(
            &server,
            "SELECT point['x'], list[1], cardinality(tags) FROM t ORDER BY u32 NULLS LAST",
        )
        .await;
        assert_eq!(nested[0], json!([1, 1, 1]), "{name}: {nested}");
    }
}

#[tokio::test]
async fn without_a_format_the_content_type_decides() {
    let server = server().await;
    for (media, body) in [
        ("text/csv; charset=utf-8", b"a\n1\n".to_vec()),
        ("application/x-ndjson", b"{\"a\":1}\n".to_vec()),
        ("application/json", b"[{\"a\":1}]".to_vec()),
        ("application/vnd.apache.parquet", fixture("wide.parquet")),
        (
            "application/vnd.apache.arrow.stream",
            fixture("wide.arrows"),
        ),
    ] {
        let request = server.post("/v1/ingest?table=t&mode=overwrite");
        let name = media.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let request = if body.len() > 100 {
            server.post(&format!("/v1/ingest?table={name}"))
        } else {
            request
        };
        let answer = request
            .header("content-type", media)
            .body(body)
            .send()
            .await
            .unwrap();
        expect_json(answer, 201).await;
    }
    for media in ["application/x-www-form-urlencoded", "image/png", ""] {
        let request = server
            .post("/v1/ingest?table=x")
            .header("content-type", media);
        let problem = expect_problem(request.body("a\n1\n").send().await.unwrap(), 415).await;
        assert!(
            problem["detail"].as_str().unwrap().contains("format="),
            "{problem}"
        );
    }
    assert!(table(&server, "x").await.is_none());
}

#[tokio::test]
async fn csv_is_read_as_the_options_say() {
    let server = lake().await;
    let body = "1;'a;b';NA\n2;NA;'x'\n";
    let query = "table=t&format=csv&header=false&delimiter=%3B&quote='&null=NA";
    load(&server, query, body).await;
    let rows = sql(
        &server,
        "SELECT column_1, column_2, column_3 FROM t ORDER BY 1",
    )
    .await;
    assert_eq!(rows, json!([[1, "a;b", null], [2, null, "x"]]));
    load(
        &server,
        "table=tabs&format=csv&delimiter=%5Ct&quote=",
        "a\tb\n\"x\ty\"\n",
    )
    .await;
    assert_eq!(
        sql(&server, "SELECT a, b FROM tabs").await,
        json!([["\"x", "y\""]])
    );
}

#[tokio::test]
async fn types_of_csv_are_inferred() {
    let server = lake().await;
    let body = "i,f,b,d,t,s\n9007199254740993,1.5,true,2024-02-29,2024-02-29 12:00:00,x\n,,,,,\n";
    load(&server, "table=t&format=csv", body).await;
    let rows = sql(
        &server,
        "SELECT i, f, b, d, t, s FROM t ORDER BY i NULLS LAST",
    )
    .await;
    assert_eq!(rows[0][0].to_string(), "9007199254740993");
    assert_eq!(rows[0][1], 1.5);
    assert_eq!(rows[0][2], true);
    assert_eq!(rows[0][3], "2024-02-29");
    assert!(
        rows[0][4]
            .as_str()
            .unwrap()
            .starts_with("2024-02-29T12:00:00"),
        "{rows}"
    );
    assert_eq!(rows[1], json!([null, null, null, null, null, null]));
}

#[tokio::test]
async fn mixed_line_ends_a_mark_and_quoted_line_ends_are_taken() {
    let server = lake().await;
    let body = "\u{FEFF}id,text\r\n1,\"a\nb\"\n2,c\r3,\"d \"\"e\"\"\"\r\n\r\n4,";
    let answer = load(&server, "table=t&format=csv", body).await;
    assert_eq!(answer["rows"], 4);
    let rows = sql(&server, "SELECT id, \"text\" FROM t ORDER BY id").await;
    assert_eq!(
        rows,
        json!([[1, "a\nb"], [2, "c"], [3, "d \"e\""], [4, null]])
    );
}

#[tokio::test]
async fn only_post_and_only_this_path_are_served() {
    let server = server().await;
    let answer = server.get("/v1/ingest?table=t").send().await.unwrap();
    assert_eq!(answer.headers()["allow"], "POST");
    expect_problem(answer, 405).await;
    expect_problem(
        server.post("/v1/ingest/x?table=t").send().await.unwrap(),
        404,
    )
    .await;
    for query in [
        "",
        "table=",
        "table=..%2Fx",
        "table=a.b.c",
        "table=t&formt=csv",
        "table=t&mode=x",
    ] {
        expect_problem(post(&server, query, "a\n1\n").await, 400).await;
    }
}

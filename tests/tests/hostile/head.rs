use crate::{commit, start, unharmed};

#[tokio::test]
async fn heads_without_measure_do_not_get_through() {
    let server = start().await;
    for crime in ["headers", "header"] {
        let answer = commit(&server, crime).await;
        let bytes: usize = answer
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        assert!(bytes < 256 << 10, "{crime}: {bytes} bytes");
        unharmed(&server).await;
    }
}

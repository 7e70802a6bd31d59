use crate::{detail, start, unharmed};

#[tokio::test]
async fn handles_end_at_their_limit() {
    let server = start().await;
    let detail = detail(&server, "hold", 502).await;
    assert!(detail.contains("`handles` of 1000"), "{detail}");
    unharmed(&server).await;
}

#[tokio::test]
async fn what_one_call_hands_over_ends_at_its_limit() {
    let server = start().await;
    let (before, _) = server.resident();
    let detail = detail(&server, "hand-over", 502).await;
    assert!(detail.contains("`hostcall` of 1048576 bytes"), "{detail}");
    let (_, peak) = server.resident();
    // Twice in the guest; not a third time in the host.
    assert!(peak < before + (160 << 20), "{before} {peak}");
    unharmed(&server).await;
}

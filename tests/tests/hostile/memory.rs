use crate::{detail, unharmed, unhurried};

#[tokio::test]
async fn memory_ends_at_its_limit() {
    let server = unhurried("").await;
    let (before, _) = server.resident();
    let detail = detail(&server, "allocate", 502).await;
    assert!(detail.contains("`memory` of 268435456 bytes"), "{detail}");
    unharmed(&server).await;
    let (after, _) = server.resident();
    assert!(after < before + (64 << 20), "{before} {after}");
}

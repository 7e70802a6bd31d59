use futures::future::join_all;
use lakehouse_tests::Server;

use crate::{broken_off, commit, detail, start, unharmed};

/// Spins once the answer has begun.
pub async fn spin_late(server: &Server) {
    let answer = commit(server, "spin-late").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(broken_off(answer).await, "begun".len());
    unharmed(server).await;
}

/// Spins in many requests at once.
pub async fn spin_many(server: &Server) {
    let spinning = join_all((0..16).map(|_| detail(server, "spin", 504)));
    let beside = async {
        for _ in 0..5 {
            unharmed(server).await;
        }
    };
    tokio::join!(spinning, beside);
}

#[tokio::test]
async fn spinning_ends_when_the_processor_time_is_up() {
    let server = start().await;
    let detail = detail(&server, "spin", 504).await;
    assert!(detail.contains("`cpu` limit of 500ms"), "{detail}");
    unharmed(&server).await;
}

#[tokio::test]
async fn spinning_after_the_head_breaks_the_answer_off() {
    spin_late(&start().await).await;
}

#[tokio::test]
async fn recursion_traps() {
    let server = start().await;
    let detail = detail(&server, "recurse", 502).await;
    // The guest's own stack, which is in its memory, ends before the machine's.
    assert!(detail.contains("hostile::compute::recurse <"), "{detail}");
    unharmed(&server).await;
}

#[tokio::test]
async fn many_that_spin_leave_room_for_others() {
    spin_many(&start().await).await;
}

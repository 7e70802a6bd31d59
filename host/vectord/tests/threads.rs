//! Many threads at once: writers, readers and background work.

use std::sync::atomic::{AtomicBool, Ordering};

use lakehouse_vectord::{Config, Distance, IndexSpec, Item, Query, Service};

const WRITERS: usize = 4;
const EACH: usize = 300;

#[test]
fn readers_see_every_item_once_while_it_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        seal_rows: Some(50),
        build_threads: Some(1),
        ..Config::default()
    };
    let service = Service::open(dir.path(), config.clone()).unwrap();
    service
        .create(&IndexSpec::new("x", 2, Distance::L2))
        .unwrap();
    // Each writer replaces its own ten items over and over, in one batch.
    let batch = |writer: usize, round: usize| {
        let item = |i: usize| Item {
            id: format!("{writer}-{i}"),
            vector: vec![round as f32, i as f32],
            metadata: None,
        };
        (0..10).map(item).collect::<Vec<_>>()
    };
    for writer in 0..WRITERS {
        service.add("x", batch(writer, 0)).unwrap();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let service = &service;
                scope.spawn(move || {
                    for round in 1..=EACH {
                        let added = service.add("x", batch(writer, round)).unwrap();
                        assert_eq!((added.added, added.updated), (0, 10));
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let hits = service.search("x", &Query::new([0.0, 0.0], 100)).unwrap();
                let mut ids: Vec<_> = hits.iter().map(|hit| hit.id.to_string()).collect();
                ids.sort();
                ids.dedup();
                assert_eq!((hits.len(), ids.len()), (WRITERS * 10, WRITERS * 10));
                service.item("x", "1-3").unwrap();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    service.settle();
    drop(service);
    let service = Service::open(dir.path(), config).unwrap();
    for writer in 0..WRITERS {
        for i in 0..10 {
            let item = service.item("x", &format!("{writer}-{i}")).unwrap();
            assert_eq!(item.vector, [EACH as f32, i as f32]);
        }
    }
}

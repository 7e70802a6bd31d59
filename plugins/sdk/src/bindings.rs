//! Bindings of everything that the host offers beside WASI.
#![expect(
    missing_docs,
    reason = "generated; the WIT files document what matters"
)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "lakehouse:plugin/host",
    with: {
        "wasi:io/error@0.2.12": wasip2::io::error,
        "wasi:io/poll@0.2.12": wasip2::io::poll,
        "wasi:io/streams@0.2.12": wasip2::io::streams,
    },
    generate_all,
    generate_unused_types: true,
    additional_derives: [PartialEq],
});

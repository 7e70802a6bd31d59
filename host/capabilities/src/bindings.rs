//! Bindings of the `lakehouse:plugin` WIT package, host side.

mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "lakehouse:plugin/host",
        imports: {
            "lakehouse:plugin/store.base-url": trappable,
            "lakehouse:plugin/store.[method]pending-read.subscribe": trappable,
            "lakehouse:plugin/log": trappable,
            "lakehouse:plugin/metrics": trappable,
            default: async | trappable,
        },
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "lakehouse:plugin/store.pending-read": crate::store::capability::PendingRead,
            "lakehouse:plugin/formats.decoder": crate::formats::Decoder,
            "lakehouse:plugin/store.upload": crate::store::capability::UploadResource,
        },
        trappable_error_type: {
            "lakehouse:plugin/types.error" => crate::Error,
        },
        require_store_data_send: true,
    });
}

pub(crate) use generated::lakehouse::plugin::*;

//! CORS and compression, around the gateway when the configuration asks for them.

use std::convert::Infallible;

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};

use super::{Gateway, Peer, ResponseBody};
use crate::config::{Compression, Cors, Server};

type Service = BoxCloneSyncService<Request<Incoming>, Response<ResponseBody>, Infallible>;

/// What a connection asks for answers.
#[derive(Clone)]
pub enum Front {
    /// The gateway itself.
    Plain(Gateway),
    /// The gateway within layers.
    Layered(Service),
}

impl Front {
    /// The gateway, with the layers that are switched on.
    pub fn new(gateway: Gateway, settings: &Server) -> Self {
        let cors = (!settings.cors.origins.is_empty()).then(|| cors(&settings.cors));
        let compression = settings
            .compression
            .enabled
            .then(|| compression(&settings.compression));
        if cors.is_none() && compression.is_none() {
            return Self::Plain(gateway);
        }
        let mut service =
            BoxCloneSyncService::new(service_fn(move |mut request: Request<Incoming>| {
                let gateway = gateway.clone();
                let peer = request.extensions_mut().remove::<Peer>();
                async move { Ok(gateway.answer(request, peer).await) }
            }));
        if let Some(compression) = compression {
            let compressed = ServiceBuilder::new()
                .map_response(|response: Response<_>| {
                    response.map(|body| ResponseBody::native(axum::body::Body::new(body)))
                })
                .layer(compression)
                .service(service);
            service = BoxCloneSyncService::new(compressed);
        }
        if let Some(cors) = cors {
            service = BoxCloneSyncService::new(cors.layer(service));
        }
        Self::Layered(service)
    }

    /// Answers a request of `peer`.
    pub async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: Option<Peer>,
    ) -> Response<ResponseBody> {
        match self {
            Self::Plain(gateway) => gateway.answer(request, peer).await,
            Self::Layered(service) => {
                // The layers pass nothing on beside the request.
                if let Some(peer) = peer {
                    request.extensions_mut().insert(peer);
                }
                let Ok(response) = service.clone().oneshot(request).await;
                response
            }
        }
    }
}

fn cors(settings: &Cors) -> CorsLayer {
    let every = |list: &[String]| list.iter().any(|item| item == "*");
    let names = |list: &[String]| -> Vec<HeaderName> {
        list.iter().filter_map(|name| name.parse().ok()).collect()
    };
    let origins = if every(&settings.origins) {
        AllowOrigin::any()
    } else {
        let origins = settings.origins.iter();
        AllowOrigin::list(origins.filter_map(|origin| HeaderValue::try_from(origin).ok()))
    };
    let headers = if every(&settings.headers) {
        AllowHeaders::any()
    } else {
        AllowHeaders::list(names(&settings.headers))
    };
    let methods = settings.methods.iter();
    let methods = methods.filter_map(|method| method.parse::<Method>().ok());
    CorsLayer::new()
        .allow_origin(origins)
        .allow_headers(headers)
        .allow_methods(AllowMethods::list(methods))
        .expose_headers(ExposeHeaders::list(names(&settings.expose)))
        .allow_credentials(settings.credentials)
        .max_age(settings.max_age.0)
}

fn compression(settings: &Compression) -> CompressionLayer<Worthwhile> {
    CompressionLayer::new().compress_when(Worthwhile {
        min_size: settings.min_size.0,
    })
}

/// Text of some size, whole. Encoded bodies and ranges are left alone by the layer.
#[derive(Clone, Copy)]
struct Worthwhile {
    min_size: u64,
}

impl Predicate for Worthwhile {
    fn should_compress<B: Body>(&self, response: &Response<B>) -> bool {
        let size = response.body().size_hint().exact();
        let media = response.headers().get(CONTENT_TYPE);
        let media = media
            .and_then(|media| media.to_str().ok())
            .unwrap_or_default();
        response.status() != StatusCode::PARTIAL_CONTENT
            && size.is_none_or(|size| size >= self.min_size)
            && is_text(media)
    }
}

fn is_text(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim();
    media.starts_with("text/")
        || media.ends_with("+json")
        || media.ends_with("+xml")
        || matches!(
            media,
            "application/json"
                | "application/x-ndjson"
                | "application/javascript"
                | "application/xml"
        )
}

//! From a component to a plugin that has passed its checks and could serve.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode, Uri};
use http_body_util::BodyExt;
use lakehouse_capabilities::self_test;
use lakehouse_runtime::{Artifact, Body, Code, PluginSpec, Refusal, Runtime, Staged};
use serde_json::Value;

use crate::config::{Config, Probe};
use crate::gateway::{strip, stripped};

/// The id of requests that the host makes for itself.
const PROBE_ID: &str = "probe";

/// Why a component does not get to serve.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The runtime refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It failed its self-test.
    #[error("its self-test failed: {0}")]
    SelfTest(String),
    /// It did not answer its probe as it should.
    #[error("its probe failed: {0}")]
    Probe(String),
}

/// Prepares components as the configuration says.
#[derive(Debug, Clone)]
pub struct Workshop {
    config: Arc<Config>,
    runtime: Runtime,
    /// Where plugins have their `/tmp`.
    scratch: PathBuf,
}

impl Workshop {
    /// One for this runtime.
    pub fn new(config: Arc<Config>, runtime: Runtime, scratch: PathBuf) -> Self {
        Self {
            config,
            runtime,
            scratch,
        }
    }

    /// Stages a component and puts it to its tests. `path` is where it came from, `code`
    /// what it may run on if it was never compiled.
    ///
    /// # Errors
    /// If it is not fit to serve.
    pub async fn prepare(
        &self,
        name: &str,
        generation: u64,
        path: &Path,
        artifact: Artifact,
        code: Code,
    ) -> Result<Staged, Unfit> {
        let staged = self.stage(name, generation, path, artifact, code).await?;
        let longest = self.config.plugins.check_timeout.0;
        match self_test(&staged, longest).await {
            Some(Err(reason)) => return Err(Unfit::SelfTest(reason)),
            Some(Ok(())) => tracing::debug!(plugin = name, generation, "passed its self-test"),
            None => {}
        }
        if let Some(probe) = self.config.plugins.section(name).probe {
            self.probe(name, &staged, &probe, longest)
                .await
                .map_err(Unfit::Probe)?;
        }
        Ok(staged)
    }

    /// The same without tests, for one that passed them before.
    ///
    /// # Errors
    /// If the runtime refuses it.
    pub async fn stage(
        &self,
        name: &str,
        generation: u64,
        path: &Path,
        artifact: Artifact,
        code: Code,
    ) -> Result<Staged, Refusal> {
        let spec = self.spec(name, generation, path, code);
        self.runtime.stage(spec, artifact).await
    }

    /// What the runtime is told about a plugin.
    fn spec(&self, name: &str, generation: u64, path: &Path, code: Code) -> PluginSpec {
        let section = self.config.plugins.section(name);
        let may_be_draft = section.draft == Some(true);
        PluginSpec {
            name: name.to_owned(),
            generation,
            path: path.to_owned(),
            limits: section.limits(),
            grants: section
                .grants
                .and_then(|grants| serde_json::to_value(grants).ok())
                .unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            config: section.config.unwrap_or_default(),
            env: section.env.unwrap_or_default(),
            heavy: section.heavy == Some(true),
            code: if may_be_draft { code } else { Code::Best },
            scratch: (section.scratch == Some(true)).then(|| self.scratch.join(name)),
        }
    }

    /// Asks for the probe's path and reads the answer to its end.
    async fn probe(
        &self,
        name: &str,
        staged: &Staged,
        probe: &Probe,
        longest: Duration,
    ) -> Result<(), String> {
        let plugins = &self.config.plugins;
        let prefix = plugins.section(name).strip_prefix == Some(true);
        let uri = probe
            .path
            .parse::<Uri>()
            .map_err(|error| error.to_string())?;
        let path = strip(&uri, stripped(&plugins.route(name), prefix));
        let request = Request::get(&path)
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let asked = async {
            let mut answer = staged
                .handle(request, PROBE_ID)
                .await
                .map_err(|error| error.to_string())?;
            while let Some(frame) = answer.body_mut().frame().await {
                frame.map_err(|error| error.to_string())?;
            }
            Ok(answer.status())
        };
        let status: StatusCode = tokio::time::timeout(longest, asked)
            .await
            .map_err(|_| format!("{} takes longer than {longest:?}", probe.path))?
            .map_err(|error: String| format!("{}: {error}", probe.path))?;
        if status.as_u16() == probe.status {
            Ok(())
        } else {
            Err(format!(
                "{} answers {status}, not {}",
                probe.path, probe.status
            ))
        }
    }
}

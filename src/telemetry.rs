//! Logs and traces [with `app` and `cli` nobody else knows OpenTelemetry].

use std::io::IsTerminal as _;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;

/// What is logged where the environment variable `CULLD_LOG` says nothing.
const DEFAULT_FILTER: &str = "culld=info,warn";
/// The name that traces come by.
const SERVICE: &str = "culld";

/// Traces can't be sent there.
#[derive(Debug, thiserror::Error)]
#[error("traces can't be sent to {endpoint}: {message}")]
pub struct TelemetryError {
    endpoint: String,
    message: String,
}

/// Sends what traces are left when it is dropped.
#[derive(Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Starts logging to standard error: `filter` where `CULLD_LOG` is not set; and sending traces of calls, where somebody
/// collects them. A second call changes nothing.
///
/// # Errors
/// The endpoint is no address.
pub fn start(
    filter: Option<&str>,
    format: LogFormat,
    endpoint: Option<&str>,
) -> Result<Traces, TelemetryError> {
    let fallback = EnvFilter::new(filter.unwrap_or(DEFAULT_FILTER));
    let filter = EnvFilter::try_from_env("CULLD_LOG").unwrap_or(fallback);
    let provider = endpoint.map(exporter).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        let tracer = provider.tracer(SERVICE);
        tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false)
    });
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            Box::new(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi))
        }
        LogFormat::Json => Box::new(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr)),
    };
    let subscriber = Registry::default().with(filter).with(traces).with(lines);
    // An embedding program may have a subscriber of its own, which then gets the events.
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(Traces(provider))
}

fn exporter(endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter
        .map_err(|error| TelemetryError { endpoint: endpoint.to_owned(), message: error.to_string() })?;
    let resource = Resource::builder().with_service_name(SERVICE).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

//! The doors' metrics, all named here: `firn_<area>_<noun>_<unit>`. Never a bucket or a key as a label.

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// What a request counter is split by: the operation's name and the class of its status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) operation: &'static str,
    pub(crate) status: &'static str,
}

/// What a latency histogram is split by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OperationLabels {
    pub(crate) operation: &'static str,
}

/// What a counter of calls is split by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CallLabels {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) status: &'static str,
}

/// What the latency of calls is split by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ServiceLabels {
    pub(crate) service: &'static str,
}

/// The class of a status.
fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// The doors' metrics.
pub(crate) struct Metrics {
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) latency: Family<OperationLabels, Histogram>,
    pub(crate) calls: Family<CallLabels, Counter>,
    pub(crate) call_latency: Family<ServiceLabels, Histogram>,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) bodies_refused: Counter,
    pub(crate) bodies_ended: Counter,
    pub(crate) connections_open: Family<DoorLabels, Gauge>,
    pub(crate) connections: Family<DoorLabels, Counter>,
}

/// 0.2 ms doubling to 26 s.
fn latency_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_2, 2.0, 18))
}

/// What the connection metrics are split by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DoorLabels {
    pub(crate) door: &'static str,
}

/// Counts one open connection for as long as it lives.
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// A connection was accepted.
    pub(crate) fn connections(&self, door: &'static str) -> OpenConnection {
        let labels = DoorLabels { door };
        self.connections.get_or_create(&labels).inc();
        let gauge = self.connections_open.get_or_create(&labels).clone();
        gauge.inc();
        OpenConnection(gauge)
    }

    /// A request was answered.
    pub(crate) fn answered(&self, operation: &'static str, status: StatusCode) {
        self.requests.get_or_create(&RequestLabels { operation, status: class(status) }).inc();
    }

    /// A call of a service other than S3 was answered.
    pub(crate) fn called(
        &self,
        service: &'static str,
        operation: &'static str,
        status: StatusCode,
        took: Duration,
    ) {
        self.calls.get_or_create(&CallLabels { service, operation, status: class(status) }).inc();
        self.call_latency.get_or_create(&ServiceLabels { service }).observe(took.as_secs_f64());
    }

    /// Creates and registers all of them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            latency: Family::new_with_constructor(latency_buckets),
            calls: Family::default(),
            call_latency: Family::new_with_constructor(latency_buckets),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            bodies_refused: Counter::default(),
            bodies_ended: Counter::default(),
            connections_open: Family::default(),
            connections: Family::default(),
        };
        let m = &metrics;
        registry.register(
            "firn_s3_requests",
            "Requests of S3 answered, by operation and class of status",
            m.requests.clone(),
        );
        registry.register_with_unit(
            "firn_s3_request_latency",
            "From the complete request head to the end of the answer",
            Unit::Seconds,
            m.latency.clone(),
        );
        registry.register(
            "firn_api_requests",
            "Calls of IAM, STS, KMS and Glacier answered, by service, operation and class of status",
            m.calls.clone(),
        );
        registry.register_with_unit(
            "firn_api_request_latency",
            "From the complete request head to the end of the answer, of IAM, STS, KMS and Glacier",
            Unit::Seconds,
            m.call_latency.clone(),
        );
        registry.register_with_unit(
            "firn_http_received",
            "Body bytes received, of all services",
            Unit::Bytes,
            m.bytes_in.clone(),
        );
        registry.register_with_unit(
            "firn_http_sent",
            "Body bytes sent, of all services",
            Unit::Bytes,
            m.bytes_out.clone(),
        );
        registry.register(
            "firn_s3_bodies_refused",
            "Requests told to slow down: bodies under way held all memory that they may",
            m.bodies_refused.clone(),
        );
        registry.register(
            "firn_s3_bodies_ended",
            "Bodies ended because they stalled while others waited for memory",
            m.bodies_ended.clone(),
        );
        registry.register(
            "firn_http_connections_open",
            "Connections open, by door",
            m.connections_open.clone(),
        );
        registry.register("firn_http_connections", "Connections accepted, by door", m.connections.clone());
        metrics
    }
}

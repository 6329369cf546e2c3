//! Prometheus metrics. Labels are enums, never a device or a site: the database has those.

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The custom resource a reconcile is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Kind {
    NasJob,
    EdgePipeline,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "printed as the label's value")]
pub enum Outcome {
    success,
    error,
}

/// What became of a telemetry sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "printed as the label's value")]
pub enum Sample {
    stored,
    duplicate,
    /// Refused with its message, counted once a message.
    dropped,
}

/// Why a message of a device was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "printed as the label's value")]
pub enum Drop {
    /// Not a topic a device may send on.
    topic,
    oversize,
    /// No UTF-8, too deep, or not the expected JSON.
    payload,
    /// The payload names another device or site than the topic.
    identity,
    /// A value the database refuses.
    value,
    /// Not QoS 1, and more than could be taken.
    overflow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "printed as the label's value")]
pub enum DeviceState {
    online,
    offline,
}

/// What a search learned of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "printed as the label's value")]
pub enum Learned {
    trained,
    failed,
    /// It broke its bound as measured, or could not be measured: not trained.
    rejected,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    kind: Kind,
    result: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SampleLabels {
    result: Sample,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    reason: Drop,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LearnedLabels {
    result: Learned,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: DeviceState,
}

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    durations: Family<KindLabels, Histogram>,
    status_writes: Family<KindLabels, Counter>,
    samples: Family<SampleLabels, Counter>,
    dropped: Family<DropLabels, Counter>,
    learned: Family<LearnedLabels, Counter>,
    devices: Family<StateLabels, Gauge>,
    pub mqtt_connected: Gauge,
    pub db_up: Gauge,
    pub leader: Gauge,
    /// Whole seconds the oldest message waits for its commit.
    pub oldest_unpersisted: Gauge,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("haizen");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of this binary", build);
        let mut metrics = Self {
            registry,
            reconciles: Family::default(),
            durations: Family::new_with_constructor(|| {
                Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0])
            }),
            status_writes: Family::default(),
            samples: Family::default(),
            dropped: Family::default(),
            learned: Family::default(),
            devices: Family::default(),
            mqtt_connected: Gauge::default(),
            db_up: Gauge::default(),
            leader: Gauge::default(),
            oldest_unpersisted: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    /// Once per reconcile.
    pub fn reconciled(&self, kind: Kind, result: Outcome, took: Duration) {
        self.reconciles
            .get_or_create(&ReconcileLabels { kind, result })
            .inc();
        self.durations
            .get_or_create(&KindLabels { kind })
            .observe(took.as_secs_f64());
    }

    /// Once per write of a status subresource: a no-op reconcile writes nothing.
    pub fn status_written(&self, kind: Kind) {
        self.status_writes.get_or_create(&KindLabels { kind }).inc();
    }

    pub fn samples(&self, result: Sample, count: u64) {
        self.samples.get_or_create(&SampleLabels { result }).inc_by(count);
    }

    pub fn dropped(&self, reason: Drop) {
        self.dropped.get_or_create(&DropLabels { reason }).inc();
    }

    /// Once per candidate a strategy is told of.
    pub fn learned(&self, result: Learned) {
        self.learned.get_or_create(&LearnedLabels { result }).inc();
    }

    pub fn devices(&self, state: DeviceState, count: i64) {
        self.devices.get_or_create(&StateLabels { state }).set(count);
    }

    /// The text of `/metrics`.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "reconcile",
            "Reconciles by kind and result",
            self.reconciles.clone(),
        );
        r.register_with_unit(
            "reconcile_duration",
            "Time of a reconcile",
            Unit::Seconds,
            self.durations.clone(),
        );
        r.register(
            "status_writes",
            "Writes of a status by kind",
            self.status_writes.clone(),
        );
        r.register(
            "telemetry_messages",
            "Telemetry samples by what became of them",
            self.samples.clone(),
        );
        r.register(
            "messages_dropped",
            "Messages of devices dropped, by reason",
            self.dropped.clone(),
        );
        r.register(
            "search_candidates",
            "Candidates that strategies learned from, by what became of them",
            self.learned.clone(),
        );
        r.register("devices", "Devices by state", self.devices.clone());
        r.register(
            "mqtt_connected",
            "1 while connected to the broker",
            self.mqtt_connected.clone(),
        );
        r.register("db_up", "1 while Postgres answers", self.db_up.clone());
        r.register("operator_leader", "1 on the leading replica", self.leader.clone());
        r.register_with_unit(
            "telemetry_oldest_unpersisted",
            "Age of the oldest message that waits for its commit",
            Unit::Seconds,
            self.oldest_unpersisted.clone(),
        );
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_documented_ones() {
        let metrics = Metrics::new();
        metrics.reconciled(Kind::NasJob, Outcome::success, Duration::from_millis(3));
        metrics.status_written(Kind::EdgePipeline);
        metrics.samples(Sample::stored, 5);
        metrics.dropped(Drop::identity);
        metrics.learned(Learned::trained);
        metrics.devices(DeviceState::online, 2);
        metrics.leader.set(1);
        let text = metrics.text().unwrap();
        for line in [
            r#"haizen_build_info{version="0.1.0"} 1"#,
            r#"haizen_reconcile_total{kind="NasJob",result="success"} 1"#,
            r#"haizen_reconcile_duration_seconds_count{kind="NasJob"} 1"#,
            r#"haizen_status_writes_total{kind="EdgePipeline"} 1"#,
            r#"haizen_telemetry_messages_total{result="stored"} 5"#,
            r#"haizen_messages_dropped_total{reason="identity"} 1"#,
            r#"haizen_search_candidates_total{result="trained"} 1"#,
            r#"haizen_devices{state="online"} 2"#,
            "haizen_operator_leader 1",
            "haizen_mqtt_connected 0",
            "haizen_db_up 0",
            "haizen_telemetry_oldest_unpersisted_seconds 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}

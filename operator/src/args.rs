//! All flags and environment variables, read once.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

#[derive(Debug, Parser)]
#[command(
    name = "operator",
    version,
    about = "Haizen's operator: finds a model for every device class and brings it there"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run controllers, MQTT ingest and HTTP.
    Run(Box<Config>),
    /// Print the custom resource definitions as YAML.
    Crds,
    /// Bring the database's schema up to date and end.
    Migrate {
        #[command(flatten)]
        database: Database,
    },
    /// Ask a running operator, for instance whether it is ready, and fail if it isn't.
    Probe(crate::probe::Probe),
}

#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Namespace of the lease; resources are watched in all namespaces unless --watch-namespace is given.
    #[arg(long, env = "HAIZEN_NAMESPACE", default_value = "haizen")]
    pub namespace: String,
    /// Watch resources of this namespace only.
    #[arg(long, env = "HAIZEN_WATCH_NAMESPACE")]
    pub watch_namespace: Option<String>,
    /// Name of this replica, the holder of the lease.
    #[arg(long, env = "HAIZEN_POD_NAME", default_value = "operator")]
    pub pod_name: String,
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub broker: Broker,
    /// Address of HTTP: blobs, trainer, API, health, metrics.
    #[arg(long, env = "HAIZEN_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: std::net::SocketAddr,
    /// HTTP address of this operator as pods of the cluster reach it, for instance `http://haizen.haizen:8080`.
    #[arg(
        long,
        env = "HAIZEN_HTTP_URL",
        default_value = "http://haizen-operator.haizen.svc:8080"
    )]
    pub http_url: String,
    /// Folder of the blob store.
    #[arg(long, env = "HAIZEN_BLOBS", default_value = "/var/lib/haizen/blobs")]
    pub blobs: PathBuf,
    /// Largest blob that is taken, bytes.
    #[arg(long, env = "HAIZEN_MAX_BLOB", default_value_t = 512 * 1024 * 1024)]
    pub max_blob: u64,
    /// Bearer token for uploads to /blobs; without one uploads are refused.
    #[arg(long, env = "HAIZEN_UPLOAD_TOKEN", hide_env_values = true)]
    pub upload_token: Option<String>,
    /// Image of the trainer where a NasJob names none.
    #[arg(long, env = "HAIZEN_TRAINER_IMAGE", default_value = "haizen/trainer:latest")]
    pub trainer_image: String,
    /// Devices that measure at the same time. One by default: devices that share a host would disturb each other.
    #[arg(long, env = "HAIZEN_PROFILE_CONCURRENCY", default_value_t = 1)]
    pub profile_concurrency: usize,
    /// A device that was silent for this many seconds counts as offline, whatever its presence says.
    #[arg(long, env = "HAIZEN_DEVICE_SILENCE", default_value_t = 180)]
    pub device_silence: u64,
    /// Telemetry older than this many days is deleted.
    #[arg(long, env = "HAIZEN_TELEMETRY_DAYS", default_value_t = 30)]
    pub telemetry_days: u32,
    /// Seconds a lease holds without being renewed.
    #[arg(long, env = "HAIZEN_LEASE_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(5..))]
    pub lease_seconds: u64,
    #[arg(long, env = "HAIZEN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Plain)]
    pub log_format: LogFormat,
    /// Filter as of tracing-subscriber.
    #[arg(long, env = "HAIZEN_LOG", default_value = "info,sqlx=warn")]
    pub log: String,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Database {
    /// `postgres://user@host/name`; a password may stand in HAIZEN_DATABASE_PASSWORD(_FILE) instead.
    #[arg(long, env = "HAIZEN_DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    #[arg(long, env = "HAIZEN_DATABASE_PASSWORD", hide_env_values = true)]
    pub database_password: Option<String>,
    #[arg(long, env = "HAIZEN_DATABASE_PASSWORD_FILE")]
    pub database_password_file: Option<PathBuf>,
    /// Most connections at once.
    #[arg(long, env = "HAIZEN_DATABASE_CONNECTIONS", default_value_t = 8)]
    pub database_connections: u32,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Broker {
    /// Host name of the MQTT broker.
    #[arg(long, env = "HAIZEN_MQTT_HOST")]
    pub mqtt_host: String,
    #[arg(long, env = "HAIZEN_MQTT_PORT", default_value_t = 1883)]
    pub mqtt_port: u16,
    #[arg(long, env = "HAIZEN_MQTT_USERNAME")]
    pub mqtt_username: Option<String>,
    #[arg(long, env = "HAIZEN_MQTT_PASSWORD", hide_env_values = true)]
    pub mqtt_password: Option<String>,
    #[arg(long, env = "HAIZEN_MQTT_PASSWORD_FILE")]
    pub mqtt_password_file: Option<PathBuf>,
    /// Fixed: the broker keeps this client's session while the operator is away.
    #[arg(long, env = "HAIZEN_MQTT_CLIENT_ID", default_value = "haizen-operator")]
    pub mqtt_client_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Plain,
    Json,
}

impl Config {
    pub fn device_silence(&self) -> Duration {
        Duration::from_secs(self.device_silence)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn flags_are_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn few_flags_are_enough() {
        let args = [
            "operator",
            "run",
            "--database-url",
            "postgres://db/haizen",
            "--mqtt-host",
            "mq",
        ];
        let Command::Run(config) = Args::try_parse_from(args).unwrap().command else {
            unreachable!()
        };
        assert_eq!(
            (config.broker.mqtt_port, config.database.database_connections),
            (1883, 8)
        );
    }
}

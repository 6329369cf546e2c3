//! Every flag and variable, read once.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::id::{DeviceClass, DeviceId, SiteId};

/// Runs vision pipelines on a device: as a member of a fleet, or a graph by itself.
#[derive(Debug, Parser)]
#[command(name = "edge-agent", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve as a device of a fleet: take desired documents, run them, report.
    Agent(Box<AgentArgs>),
    /// Run one graph here, without a fleet, and show what each node does.
    Run(RunArgs),
    /// Check a graph and say everything that is wrong with it.
    Check(CheckArgs),
    /// Convert or draw a graph.
    #[command(subcommand)]
    Graph(GraphCommand),
    /// Print the reference of all calculators.
    Nodes,
    /// Measure how long one run of a model takes on this machine, as it is measured for a profile.
    Measure(MeasureArgs),
    /// Print the inference runtime of this machine as JSON.
    Runtime(RuntimeArgs),
}

#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// Name of this device, unique in the fleet: 1 to 63 of a-z, 0-9 and `-`.
    #[arg(long, env = "HAIZEN_DEVICE")]
    pub device: DeviceId,
    /// Where the device stands: its restaurant.
    #[arg(long, env = "HAIZEN_SITE")]
    pub site: SiteId,
    /// Devices of one class have the same hardware and runtime, and share profiles and models.
    #[arg(long, env = "HAIZEN_CLASS")]
    pub class: DeviceClass,
    /// Labels that selectors match, as `key=value,…`; `haizen.dev/class` is always set to the class.
    #[arg(long, env = "HAIZEN_LABELS", value_parser = parse_labels, default_value = "")]
    pub labels: BTreeMap<String, String>,
    /// MQTT 5 broker as `host:port`; port 1883 when not given.
    #[arg(long, env = "HAIZEN_BROKER")]
    pub broker: String,
    #[arg(long, env = "HAIZEN_MQTT_USER")]
    pub mqtt_user: Option<String>,
    #[arg(long, env = "HAIZEN_MQTT_PASSWORD", hide_env_values = true)]
    pub mqtt_password: Option<String>,
    /// A file with the password, read at the start.
    #[arg(long, env = "HAIZEN_MQTT_PASSWORD_FILE", conflicts_with = "mqtt_password")]
    pub mqtt_password_file: Option<PathBuf>,
    /// Seconds after a lost connection until the broker calls the device offline.
    #[arg(long, env = "HAIZEN_WILL_DELAY", default_value_t = 0)]
    pub will_delay: u32,
    /// The operator's HTTP address, for models given by path.
    #[arg(long, env = "HAIZEN_HTTP")]
    pub http: Option<String>,
    /// Folder of the agent's state, models and outbox; must outlive the process.
    #[arg(long, env = "HAIZEN_STATE", default_value = "/var/lib/haizen")]
    pub state: PathBuf,
    /// Threads of one inference; what the machine grants when not given.
    #[arg(long, env = "HAIZEN_THREADS")]
    pub threads: Option<usize>,
    /// Largest model in MiB.
    #[arg(long, env = "HAIZEN_MAX_MODEL_MIB", default_value_t = 512)]
    pub max_model_mib: u64,
    /// Most bytes a second of a model's download, for instance 500k; no bound when not given.
    #[arg(long, env = "HAIZEN_DOWNLOAD_RATE")]
    pub download_rate: Option<units::Bytes>,
    /// Bound of the outbox in MiB; what comes when it is full is refused and counted.
    #[arg(long, env = "HAIZEN_OUTBOX_MIB", default_value_t = 64)]
    pub outbox_mib: u64,
}

#[derive(Debug, Clone, Subcommand)]
pub enum GraphCommand {
    /// Write a graph in the other form; nothing is lost either way.
    Convert(ConvertArgs),
    /// Draw a graph as SVG, with its subgraphs in their places.
    Draw(DrawArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ConvertArgs {
    #[command(flatten)]
    pub graph: GraphArgs,
    /// The form to write; the other one when not given.
    #[arg(long, value_enum)]
    pub to: Option<FormArg>,
}

#[derive(Debug, Clone, Args)]
pub struct DrawArgs {
    #[command(flatten)]
    pub graph: GraphArgs,
}

/// Whose time it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ClockArg {
    /// Starts at 0 and moves by the feed's `advance` lines only; after its last line, from timer to timer.
    #[default]
    Virtual,
    /// The machine's.
    Real,
}

/// How a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormArg {
    Yaml,
    /// Protobuf's text form, MediaPipe's own.
    Pbtxt,
}

/// A graph in a file.
#[derive(Debug, Clone, Args)]
pub struct GraphArgs {
    /// A graph (`nodes:`) or an EdgePipeline resource as YAML, or a MediaPipe graph as protobuf text; `-` reads standard
    /// input.
    #[arg(value_name = "GRAPH")]
    pub file: PathBuf,
    /// A file with a graph that nodes name as their calculator: by its `type`, or by the file's name without ending.
    #[arg(long = "subgraph", value_name = "FILE")]
    pub subgraphs: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub graph: GraphArgs,
    /// Stop after this long, for instance 10s; until Ctrl-C or the sources' end when not given.
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<units::Duration>,
    /// Write figures of all nodes and streams as JSON when the run ends.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write who ran when on which thread, as a file for ui.perfetto.dev, when the run ends.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Serve the run's figures to Prometheus on this address, for instance 127.0.0.1:9090, under /metrics.
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address, conflicts_with = "feed")]
    pub metrics_address: Option<SocketAddr>,
    /// A model the graph's side packets name, as `name=file.onnx`.
    #[arg(long = "model", value_name = "NAME=FILE", value_parser = parse_model)]
    pub models: Vec<(String, PathBuf)>,
    /// Threads of one inference; what the machine grants when not given.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Count the sinks' results instead of printing them.
    #[arg(long, short)]
    pub quiet: bool,
    /// Read the graph again when its file, a subgraph's or a model's changes, and go over to it without ending what stays
    /// the same; SIGHUP does so too, at any time.
    #[arg(long, conflicts_with = "feed")]
    pub watch: bool,
    /// Feed the graph with the lines of this file, then close its inputs and wait for the end; `-` reads standard
    /// input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["duration", "report"])]
    pub feed: Option<PathBuf>,
    /// Where to write what the graph's output streams gave, as lines of JSON; to standard output when not given.
    #[arg(long, value_name = "FILE", requires = "feed")]
    pub record: Option<PathBuf>,
    /// Whose time a fed graph lives in.
    #[arg(long, value_enum, default_value_t, requires = "feed")]
    pub clock: ClockArg,
    /// Record the bounds and the ends of streams too.
    #[arg(long, requires = "feed")]
    pub bounds: bool,
}

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub graph: GraphArgs,
}

#[derive(Debug, Clone, Args)]
pub struct MeasureArgs {
    /// An ONNX model: a whole one, or a block; with --out also a folder of them. It is fed zeros; sides that it leaves
    /// open are 1.
    #[arg(value_name = "MODEL")]
    pub file: PathBuf,
    /// Write the figures to this profile instead, beside those of other files. What was measured before on this machine,
    /// and not disturbed, is not measured again.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub out: Option<PathBuf>,
    /// Threads of one inference; what the machine grants when not given.
    #[arg(long, env = "HAIZEN_THREADS")]
    pub threads: Option<usize>,
    /// Fewest runs of a model, over all measurements; a quick model is run more often. 300 when not given, and 60 of each
    /// file for a profile.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub runs: Option<u32>,
    /// Print all figures as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct RuntimeArgs {
    /// Threads of one inference; what the machine grants when not given.
    #[arg(long, env = "HAIZEN_THREADS")]
    pub threads: Option<usize>,
}

fn parse_labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().into(), value.trim().into())),
            _ => Err(format!("{pair:?} is no label: write it like role=counter")),
        })
        .collect()
}

/// The first address of a host by number or name.
fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map(|mut addresses| addresses.next());
    match found {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err("the host has no address".into()),
        Err(error) => Err(format!("{error}; write it like 127.0.0.1:9090")),
    }
}

fn parse_model(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.into(), file.into())),
        _ => Err("write it like dish=dish.onnx".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_are_numbers_or_names() {
        assert_eq!(
            parse_address("127.0.0.1:9090"),
            Ok(SocketAddr::from(([127, 0, 0, 1], 9090)))
        );
        assert_eq!(
            parse_address("localhost:9090").map(|address| address.ip().is_loopback()),
            Ok(true)
        );
        let error = parse_address("9090").unwrap_err();
        assert!(error.ends_with("write it like 127.0.0.1:9090"), "{error}");
    }

    #[test]
    fn labels_are_read_or_named() {
        let labels = parse_labels("role=counter, floor=2,").unwrap();
        assert_eq!(
            labels.into_iter().collect::<Vec<_>>(),
            [("floor".into(), "2".into()), ("role".into(), "counter".into())]
        );
        assert_eq!(
            parse_labels("role").unwrap_err(),
            "\"role\" is no label: write it like role=counter"
        );
    }
}

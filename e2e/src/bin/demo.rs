//! `make demo`: everything on a real cluster, shown while it happens.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use e2e::demo::report::Report;
use e2e::demo::screen::Screen;
use e2e::demo::story::{NAMESPACE, Story, save};
use e2e::lab::Lab;

/// Searches models for two device classes, rolls them out, and shows what comes back.
#[derive(Debug, Parser)]
struct Args {
    /// Namespace of the Helm release.
    #[arg(long, default_value = "haizen")]
    namespace: String,
    /// What bringing the cluster up took, for the report.
    #[arg(long, default_value_t = 0.0)]
    cluster_seconds: f64,
    /// What building the images took, for the report.
    #[arg(long, default_value_t = 0.0)]
    images_seconds: f64,
    /// Remove the demo's release and namespaces instead.
    #[arg(long)]
    down: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(Screen::default().say(&format!("\nThe demo failed: {error:#}\n\n{}", LOOK.trim_start())));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let Args { namespace, cluster_seconds, images_seconds, down } = args;
    let lab = Lab::connect(&namespace).await?;
    if down {
        return lab.uninstall(NAMESPACE).await;
    }
    let before = BTreeMap::from([("cluster", cluster_seconds), ("images", images_seconds)]);
    let report = Story::new(lab.clone()).run(before).await?;
    let path = save(&lab, &report).await?;
    let summary = summary(&report);
    Ok(Screen::default().say(&format!("{summary}\nThe whole report: {}\n\n{NEXT}", path.display()))?)
}

fn summary(report: &Report) -> String {
    let mut text = "\n  TARGET       CLASS     ACCURACY  BOUND     MEASURED  PREDICTED MODEL\n".to_owned();
    for t in &report.targets {
        text.push_str(&format!(
            "  {:<12} {:<9} {:<9.4} {:<9} {:<9} {:<9} {}\n",
            t.name,
            t.class,
            t.accuracy,
            format!("{:.3}ms", t.bound_p95_ms),
            format!("{:.3}ms", t.measured_p95_ms),
            format!("{:.3}ms", t.predicted_p95_ms),
            t.model.chars().take(19).collect::<String>(),
        ));
    }
    let waves: Vec<_> = report.waves.iter().map(|w| format!("{} in {:.0}s", w.devices, w.seconds)).collect();
    text.push_str(&format!(
        "\n  devices    {} matched, {} healthy, {} failed, {} unreachable\n  waves      {}\n  telemetry  {} sent, {} stored, {} gaps\n  drops      {:?}\n  seconds    {}\n",
        report.devices.matched,
        report.devices.ready,
        report.devices.failed,
        report.devices.unreachable,
        waves.join(", "),
        report.telemetry.sent,
        report.telemetry.stored,
        report.telemetry.gaps,
        report.drops,
        report.seconds.iter().map(|(k, v)| format!("{k} {v:.0}")).collect::<Vec<_>>().join(", "),
    ));
    text
}

const NEXT: &str = "Everything is left running. Next:
  export KUBECONFIG=$PWD/target/cluster/kubeconfig PATH=$PWD/target/cluster/bin:$PATH
  kubectl -n haizen-demo get nas,epl            # the two resources in one line each
  kubectl -n haizen-demo describe epl           # what happened, in order
  kubectl -n haizen-demo logs edge-1t-0         # one device
`make demo-down` removes it all.";

const LOOK: &str = "
Everything is left as it is. Look at:
  export KUBECONFIG=$PWD/target/cluster/kubeconfig PATH=$PWD/target/cluster/bin:$PATH
  kubectl -n haizen get pods; kubectl -n haizen logs deploy/haizen-operator
  kubectl -n haizen-demo describe nas,epl
Running `make demo` again starts over.";

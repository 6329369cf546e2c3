//! `make demo`: everything on a real cluster, shown while it happens.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use e2e::demo::report::{Report, Target};
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
    let Args {
        namespace,
        cluster_seconds,
        images_seconds,
        down,
    } = args;
    let lab = Lab::connect(&namespace).await?;
    if down {
        return lab.uninstall(NAMESPACE).await;
    }
    let before = BTreeMap::from([("cluster", cluster_seconds), ("images", images_seconds)]);
    let report = Story::new(lab.clone()).run(before).await?;
    let path = save(&lab, &report).await?;
    let summary = summary(&report);
    Ok(Screen::default().say(&format!(
        "{summary}\nThe whole report: {}\n\n{NEXT}",
        path.display()
    ))?)
}

fn summary(report: &Report) -> String {
    let targets: String = report.targets.iter().map(target_line).collect();
    let waves: Vec<_> = report
        .waves
        .iter()
        .map(|w| format!("{} in {:.0}s", w.devices, w.seconds))
        .collect();
    let drops: Vec<_> = report
        .drops
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let seconds: Vec<_> = report
        .seconds
        .iter()
        .map(|(step, took)| format!("{step} {took:.0}"))
        .collect();
    let (devices, telemetry) = (&report.devices, report.telemetry);
    format!(
        "
  TARGET       CLASS     ACCURACY  BOUND     MEASURED  PREDICTED MODEL
{targets}
  devices    {} matched, {} healthy, {} failed, {} unreachable
  waves      {}
  telemetry  {} sent, {} stored, {} gaps
  drops      {}
  seconds    {}
",
        devices.matched,
        devices.ready,
        devices.failed,
        devices.unreachable,
        waves.join(", "),
        telemetry.sent,
        telemetry.stored,
        telemetry.gaps,
        drops.join(", "),
        seconds.join(", "),
    )
}

fn target_line(target: &Target) -> String {
    let ms = |value: f64| format!("{value:.3}ms");
    format!(
        "  {:<12} {:<9} {:<9.4} {:<9} {:<9} {:<9} {}\n",
        target.name,
        target.class,
        target.accuracy,
        ms(target.bound_p95_ms),
        ms(target.measured_p95_ms),
        ms(target.predicted_p95_ms),
        target.model.chars().take(19).collect::<String>(),
    )
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

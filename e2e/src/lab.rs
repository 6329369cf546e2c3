//! The cluster the stories run on.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::process::Command;

/// A cluster and the namespace of our release in it.
#[derive(Clone)]
pub struct Lab {
    pub client: kube::Client,
    /// Namespace of the Helm release.
    pub namespace: String,
    pub root: PathBuf,
    kubeconfig: PathBuf,
}

impl std::fmt::Debug for Lab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lab")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Lab {
    /// Takes `HAIZEN_KUBECONFIG`, else what `make cluster` wrote.
    pub async fn connect(namespace: &str) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the workspace's root")?
            .to_owned();
        let kubeconfig = std::env::var_os("HAIZEN_KUBECONFIG")
            .map_or_else(|| root.join("target/cluster/kubeconfig"), PathBuf::from);
        let config = Kubeconfig::read_from(&kubeconfig)
            .with_context(|| format!("read {}: run `make cluster` first", kubeconfig.display()))?;
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let client = kube::Client::try_from(config)?;
        client
            .apiserver_version()
            .await
            .context("reach the cluster: run `make cluster`")?;
        Ok(Self {
            client,
            namespace: namespace.to_owned(),
            root,
            kubeconfig,
        })
    }

    /// Runs a tool of the cluster (helm, kubectl) and returns what it printed.
    pub async fn tool(&self, name: &str, args: &[&str]) -> Result<String> {
        let output = Command::new(tool_path(&self.root, name))
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .output()
            .await
            .with_context(|| format!("start {name}"))?;
        if !output.status.success() {
            bail!(
                "{name} {} failed: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Our own build where `make cluster` linked one, else what is on the PATH.
fn tool_path(root: &Path, name: &str) -> PathBuf {
    let own = root.join("target/cluster/bin").join(name);
    if own.exists() { own } else { PathBuf::from(name) }
}

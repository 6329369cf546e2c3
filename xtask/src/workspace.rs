//! Where the workspace lies and what is in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

/// The workspace this program was built from.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub root: PathBuf,
    pub members: Vec<Member>,
}

/// A package of the workspace.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub name: String,
    /// Other members it uses outside its tests.
    pub uses: Vec<String>,
}

/// A source file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// From the root, with forward slashes.
    pub path: String,
    pub text: String,
}

impl Workspace {
    pub(crate) fn here() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(manifest)
            .no_deps()
            .exec()
            .context("cargo metadata of the workspace")?;
        let members = metadata
            .packages
            .iter()
            .map(|package| Member {
                name: package.name.to_string(),
                uses: package
                    .dependencies
                    .iter()
                    .filter(|d| d.path.is_some() && d.kind != cargo_metadata::DependencyKind::Development)
                    .map(|d| d.name.clone())
                    .collect(),
            })
            .collect();
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            members,
        })
    }

    /// Every Rust file of every member, in the order of their paths.
    pub(crate) fn sources(&self) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for member in &self.members {
            self.collect(&self.root.join(&member.name), &mut sources)?;
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(sources)
    }

    /// The file's text, or `None` if there is none.
    pub(crate) fn read(&self, path: &str) -> Result<Option<String>> {
        let full = self.root.join(path);
        if !full.exists() {
            return Ok(None);
        }
        fs::read_to_string(&full)
            .map(Some)
            .with_context(|| format!("reading {path}"))
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Result<()> {
        let full = self.root.join(path);
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder).with_context(|| format!("making the folder of {path}"))?;
        }
        fs::write(&full, text).with_context(|| format!("writing {path}"))
    }

    fn collect(&self, folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_some_and(|n| n.to_string_lossy().starts_with('.') || n == "target");
            if hidden {
                continue;
            }
            if path.is_dir() {
                self.collect(&path, sources)?;
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                let path = path
                    .strip_prefix(&self.root)?
                    .to_string_lossy()
                    .replace('\\', "/");
                sources.push(Source { path, text });
            }
        }
        Ok(())
    }
}

//! The workspace as plain data: manifests and files with their text.
//!
//! The rules look only at this, so tests can plant a tree in memory.

use std::path::Path;

use anyhow::{Context, Result};

/// Everything the rules judge.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) files: Vec<TextFile>,
    pub(crate) crates: Vec<Manifest>,
}

/// A text file, its path relative to the workspace root with `/` between the parts.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    pub(crate) fn is_rust(&self) -> bool {
        self.ends_in("rs")
    }

    pub(crate) fn is_markdown(&self) -> bool {
        self.ends_in("md")
    }

    fn ends_in(&self, wanted: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == wanted)
    }
}

/// What the rules need of a member's `Cargo.toml`.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// `crates/graph`.
    pub(crate) folder: String,
    /// Package name.
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// `[lints] workspace = true`.
    pub(crate) inherits_lints: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package depended on, after `package = "…"` renames.
    pub(crate) package: String,
    pub(crate) kind: DependencyKind,
    /// Line in the manifest, from 1.
    pub(crate) line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    /// `[dependencies]` and `[build-dependencies]`: part of what is shipped.
    Normal,
    /// `[dev-dependencies]`.
    Dev,
}

/// Directories that hold nothing of ours or nothing written by hand.
const UNREAD: [&str; 6] = [".git", "target", "node_modules", "dist", "artifacts", "corpus"];

impl Workspace {
    /// Reads the tree below `root`; files that are not text are left out.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        walk(root, "", &mut files)?;
        Ok(Self::from_files(files))
    }

    /// Finds the members among `files`.
    pub(crate) fn from_files(mut files: Vec<TextFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let crates = files
            .iter()
            .filter_map(|file| Some((file.path.strip_suffix("/Cargo.toml")?, file)))
            .filter(|(folder, _)| *folder == "xtask" || folder.starts_with("crates/"))
            .map(|(folder, file)| Manifest::parse(folder, &file.text))
            .collect();
        Self { files, crates }
    }

    pub(crate) fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

impl Manifest {
    /// Reads the few tables the rules need; the rest of TOML is cargo's to check.
    pub(crate) fn parse(folder: &str, text: &str) -> Self {
        let mut manifest = Self { folder: folder.to_owned(), ..Self::default() };
        let mut section = String::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                header.trim_end_matches(']').clone_into(&mut section);
                // `[dependencies.name]` declares one by its header alone.
                if let Some((table, package)) = section.rsplit_once('.')
                    && let Some(kind) = dependency_kind(table)
                {
                    manifest.dependencies.push(Dependency {
                        package: package.trim_matches('"').to_owned(),
                        kind,
                        line: index + 1,
                    });
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let (key, value) = (key.trim(), value.trim());
            if key.starts_with('#') {
                continue;
            }
            if section == "package" && key == "name" {
                value.trim_matches('"').clone_into(&mut manifest.name);
            }
            if (section == "lints" && key == "workspace") || (section.is_empty() && key == "lints.workspace")
            {
                manifest.inherits_lints = value == "true";
            }
            if let Some(kind) = dependency_kind(&section) {
                let package = renamed(value).unwrap_or_else(|| key.split('.').next().unwrap_or(key));
                let package = package.trim_matches('"').to_owned();
                manifest.dependencies.push(Dependency { package, kind, line: index + 1 });
            }
        }
        manifest
    }

    /// The last part of the folder: `graph`.
    pub(crate) fn short(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or(&self.folder)
    }
}

/// The kind of dependencies a table holds, also behind `target.'cfg(…)'.`.
fn dependency_kind(table: &str) -> Option<DependencyKind> {
    let last = table.rsplit('.').next().unwrap_or(table);
    match last {
        "dependencies" | "build-dependencies" if !table.starts_with("workspace") => {
            Some(DependencyKind::Normal)
        }
        "dev-dependencies" => Some(DependencyKind::Dev),
        _ => None,
    }
}

/// The value of `package = "…"` inside an inline table.
fn renamed(value: &str) -> Option<&str> {
    let (_, after) = value.split_once("package")?;
    let after = after.trim_start().strip_prefix('=')?;
    after.trim_start().strip_prefix('"')?.split('"').next()
}

fn walk(dir: &Path, below: &str, files: &mut Vec<TextFile>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{below}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !UNREAD.contains(&name.as_str()) {
                walk(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file()
            && let Ok(text) = std::fs::read_to_string(entry.path())
        {
            files.push(TextFile { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_gives_dependencies_of_every_spelling() {
        let manifest = Manifest::parse(
            "crates/x",
            r#"[package]
name = "skydive-x"
[lints]
workspace = true
[dependencies]
plain.workspace = true
inline = { workspace = true, optional = true }
alias = { package = "real", version = "1" }
# off = "1"
[dependencies.table]
version = "1"
[target.'cfg(unix)'.dependencies]
unix = "1"
[dev-dependencies]
dev = "1"
[features]
default = ["plain"]
"#,
        );
        assert_eq!(manifest.name, "skydive-x");
        assert_eq!(manifest.short(), "x");
        assert!(manifest.inherits_lints);
        let found: Vec<_> =
            manifest.dependencies.iter().map(|d| (d.package.as_str(), d.kind, d.line)).collect();
        assert_eq!(
            found,
            [
                ("plain", DependencyKind::Normal, 6),
                ("inline", DependencyKind::Normal, 7),
                ("real", DependencyKind::Normal, 8),
                ("table", DependencyKind::Normal, 10),
                ("unix", DependencyKind::Normal, 13),
                ("dev", DependencyKind::Dev, 15),
            ]
        );
    }
}

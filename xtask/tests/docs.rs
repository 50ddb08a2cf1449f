//! Checks of the documentation: links and anchors in `*.md` resolve, the pages that sources refer to and the tests that the
//! threat model names exist, the overview pages stay short, and the copy of the contract in the Rust SDK equals the contract.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// Folders that hold no files of this repository.
const SKIPPED: [&str; 6] = [
    ".git",
    ".venv",
    "__pycache__",
    "data",
    "node_modules",
    "target",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
}

/// Returns every file of the repository whose name ends with one of `endings`.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    fn collect(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type().expect("a file type").is_dir() {
                if !SKIPPED.contains(&&*name) {
                    collect(&path, endings, found);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(root(), endings, &mut found);
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Returns the lines of a Markdown text outside of fenced code, with code spans blanked out.
fn prose(markdown: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside_code = |(i, part): (usize, &str)| match i % 2 {
                0 => part.to_owned(),
                _ => "`code`".to_owned(),
            };
            lines.push(line.split('`').enumerate().map(outside_code).collect());
        }
    }
    lines
}

/// Returns the targets of the links and images of a Markdown text: `[text](target)`, `[name]: target`, `src="target"`.
fn targets(markdown: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in prose(markdown) {
        for (opening, closing) in [
            ("](", ')'),
            ("src=\"", '"'),
            ("srcset=\"", '"'),
            ("href=\"", '"'),
        ] {
            for rest in line.split(opening).skip(1) {
                targets.extend(rest.split(closing).next().map(str::to_owned));
            }
        }
        if let Some((_, target)) = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("]: "))
        {
            targets.push(target.trim().to_owned());
        }
    }
    targets
}

/// Returns the anchors that GitHub gives to the headings of a Markdown text.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut anchors = BTreeSet::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let title = line.trim_start_matches('#');
        let is_heading = !fenced && line.starts_with('#') && title.starts_with(' ');
        if !is_heading {
            continue;
        }
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        let slug: String = title.trim().to_lowercase().chars().filter(kept).collect();
        let slug = slug.replace(' ', "-");
        let count = seen.entry(slug.clone()).or_default();
        anchors.insert(match *count {
            0 => slug,
            n => format!("{slug}-{n}"),
        });
        *count += 1;
    }
    anchors
}

/// Returns what is wrong with a link from `page`, if anything.
fn problem(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = match path {
        "" => page.to_owned(),
        path => page.parent().expect("a page is in a folder").join(path),
    };
    if !file.exists() {
        return Some("the file does not exist".to_owned());
    }
    let is_page = file.extension().is_some_and(|extension| extension == "md");
    let is_missing = !anchor.is_empty() && is_page && !anchors(&read(&file)).contains(anchor);
    is_missing.then(|| "the page has no such heading".to_owned())
}

#[test]
fn links_and_anchors_resolve() {
    let pages = files(&[".md"]);
    assert!(pages.contains(&root().join("README.md")));
    let (mut links, mut broken) = (0, Vec::new());
    for page in pages {
        for target in targets(&read(&page)) {
            links += 1;
            if let Some(problem) = problem(&page, &target) {
                broken.push(format!("{}: {target}: {problem}", page.display()));
            }
        }
    }
    assert!(links > 20, "only {links} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn pages_that_sources_name_exist() {
    let endings = [
        ".rs", ".toml", ".wit", ".py", ".js", ".mjs", ".c", ".h", ".sh", ".yml",
    ];
    let mut missing = Vec::new();
    for file in files(&endings) {
        for rest in read(&file).split("docs/").skip(1) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
            let name = rest.split(|c| !is_name(c)).next().unwrap_or_default();
            let Some((name, _)) = name.rsplit_once(".md") else {
                continue;
            };
            if !root().join(format!("docs/{name}.md")).exists() {
                missing.push(format!("{}: docs/{name}.md", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Each line of the threat model names the tests that show it, by their paths in the suite.
#[test]
fn tests_that_the_threat_model_names_exist() {
    let suite = root().join("host/tests/suite");
    let page = read(&root().join("docs/security.md"));
    let named: BTreeSet<_> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|span| span.contains("::"))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| {
            let (module, test) = name.rsplit_once("::").expect("a path");
            let module = suite.join(module.replace("::", "/"));
            let sources = [module.with_extension("rs"), module.join("mod.rs")];
            let has_test = |source: &PathBuf| {
                let text = fs::read_to_string(source).unwrap_or_default();
                text.contains(&format!("\nfn {test}()"))
            };
            let is_module = suite
                .join(name.replace("::", "/"))
                .with_extension("rs")
                .exists();
            !is_module && !sources.iter().any(has_test)
        })
        .collect();
    assert!(missing.is_empty(), "docs/security.md names {missing:?}");
}

#[test]
fn overview_pages_stay_short() {
    for page in ["README.md", "ARCHITECTURE.md"] {
        let lines = read(&root().join(page)).lines().count();
        assert!(lines <= 120, "{page} has {lines} lines, more than 120");
    }
}

#[test]
fn the_readme_names_the_commands_of_the_continuous_integration() {
    let readme = read(&root().join("README.md"));
    assert!(readme.contains("\ncargo xtask run "));
    assert!(readme.contains("\ncargo xtask test "));
    assert!(read(&root().join(".ci/run")).contains("\ncargo xtask test\n"));
}

/// The SDK carries a copy because a published package contains only files below its own folder.
#[test]
fn the_sdk_has_the_contract_of_the_daemon() {
    let names = |folder: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).expect("a readable folder");
        let name = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.expect("a readable entry");
            entry.file_name().to_string_lossy().into_owned()
        };
        entries.map(name).collect()
    };
    let (contract, copy) = (root().join("wit"), root().join("plugins/sdk/wit"));
    assert_eq!(names(&copy), names(&contract));
    for name in names(&contract) {
        let same = read(&copy.join(&name)) == read(&contract.join(&name));
        assert!(
            same,
            "plugins/sdk/wit/{name} differs: copy wit/{name} over it"
        );
    }
}

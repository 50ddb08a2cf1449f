//! The rules of ARCHITECTURE.md, checked against the sources.
//!
//! Each failure names the file, the line, the rule that is broken and what to do about it. The drawing of which module
//! may use which is read from ARCHITECTURE.md itself, so that it cannot become outdated.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Item, UseTree, Visibility};

/// The crates that only some modules may name, and those modules.
const CRATES: &[(&[&str], &[&str])] = &[
    (&["anyhow"], &["cli", "app"]),
    (&["axum", "async_compression"], &["http"]),
    (&["clap"], &["cli", "main"]),
    (&["config", "toml_edit"], &["config"]),
    (
        &["hyper", "hyper_util", "http_body_util"],
        &["http", "http_client"],
    ),
    (&["eventos_broker"], &["app", "config"]),
    (&["hyper_rustls"], &["http_client"]),
    (&["rustls"], &["http", "tls"]),
    (&["rustls_native_certs"], &["tls"]),
    (&["tokio_rustls"], &["http"]),
    (&["prometheus_client", "tracing_subscriber"], &["telemetry"]),
    (&["rdkafka", "rdkafka_sys"], &["kafka"]),
    (
        &["wasmparser", "wasmtime", "wit_component", "wit_parser"],
        &["plugin"],
    ),
];

/// Modules that name a crate which they should not. Remove a line with the last such use; the list ends empty.
const KNOWN_CRATE_LEAKS: &[(&str, &str)] = &[];

/// Names that several modules export. Remove a line when its name has become unique; the list ends empty.
const KNOWN_SHARED_NAMES: &[&str] = &[];

/// Folders whose imports are not in the one form yet. The list ends empty.
const KNOWN_LOOSE_IMPORTS: &[&str] = &[];

/// Names that every module may export: other modules write `kafka::Config` and `plugin::Config`.
const SHARED_NAMES: [&str; 2] = ["Config", "Error"];

#[test]
fn only_its_own_module_names_a_crate() {
    let sources = host_sources();
    let mut faults = Faults::default();
    let mut leaks = BTreeSet::new();
    for source in &sources {
        for mention in source.mentions() {
            let Mention::External { name, line } = mention else {
                continue;
            };
            let Some((_, owners)) = CRATES.iter().find(|(names, _)| names.contains(&&*name)) else {
                continue;
            };
            let module = source.top();
            if owners.contains(&module) {
                continue;
            }
            let leak = (module.to_owned(), name.clone());
            if KNOWN_CRATE_LEAKS.contains(&(module, &name)) {
                leaks.insert(leak);
                continue;
            }
            let owners = owners.join("` and `");
            faults.add(
                source,
                line,
                format!("names the crate `{name}`, which only `{owners}` may name; use what that module exports"),
            );
        }
    }
    for (module, name) in KNOWN_CRATE_LEAKS {
        if !leaks.contains(&((*module).to_owned(), (*name).to_owned())) {
            faults.note(format!(
                "`{module}` no longer names the crate `{name}`; remove the pair from KNOWN_CRATE_LEAKS"
            ));
        }
    }
    faults.report();
}

#[test]
fn modules_use_one_another_as_architecture_md_draws_it() {
    let drawing = Drawing::read(&architecture());
    let mut faults = Faults::default();
    for source in host_sources() {
        // The root of the library lists all modules, and `main` and `cli` are the program.
        if source.top() == "lib" {
            continue;
        }
        for mention in source.mentions() {
            let Mention::Internal { module, line } = mention else {
                continue;
            };
            if module != source.top() && !drawing.allows(source.top(), &module) {
                let message = format!(
                    "`{}` uses `{module}`, which the drawing in ARCHITECTURE.md does not show; \
                     move the item to a module below both, or change the drawing",
                    source.top()
                );
                faults.add(&source, line, message);
            }
        }
    }
    faults.report();
}

#[test]
fn the_drawing_has_no_cycle_and_keeps_kafka_plugin_and_store_apart() {
    let drawing = Drawing::read(&architecture());
    let mut faults = Faults::default();
    for module in drawing.reachable.keys() {
        if drawing.allows(module, module) {
            faults.note(format!(
                "ARCHITECTURE.md: the drawing has a cycle through `{module}`"
            ));
        }
    }
    let apart = ["kafka", "plugin", "store"];
    for from in apart {
        for to in apart.into_iter().filter(|to| *to != from) {
            if drawing.allows(from, to) {
                faults.note(format!(
                    "ARCHITECTURE.md: the drawing lets `{from}` use `{to}`"
                ));
            }
        }
    }
    faults.report();
}

#[test]
fn a_type_name_is_exported_by_one_module_only() {
    let sources = host_sources();
    let by_module: BTreeMap<&[String], &Source> = sources
        .iter()
        .map(|source| (&source.module[..], source))
        .collect();
    let mut exporters: BTreeMap<String, BTreeMap<&str, (&Source, usize)>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.module.len() == 1) {
        let mut exported = Vec::new();
        export(source, &by_module, &mut exported);
        for (name, of, line) in exported {
            exporters
                .entry(name)
                .or_default()
                .entry(source.top())
                .or_insert((of, line));
        }
    }
    let mut faults = Faults::default();
    for (name, modules) in exporters {
        let is_known = KNOWN_SHARED_NAMES.contains(&&*name);
        match (modules.len() > 1, is_known) {
            (true, false) if !SHARED_NAMES.contains(&&*name) => {
                let all: Vec<_> = modules.keys().copied().collect();
                for (of, line) in modules.values() {
                    let message = format!(
                        "`{name}` is exported by the modules {}; give each type a name of its own",
                        all.join(", ")
                    );
                    faults.add(of, *line, message);
                }
            }
            (false, true) => {
                faults.note(format!(
                    "`{name}` is unique now; remove it from KNOWN_SHARED_NAMES"
                ));
            }
            _ => {}
        }
    }
    faults.report();
}

#[test]
fn architecture_md_has_every_folder_and_names_no_path_that_is_gone() {
    let text = architecture();
    let mut faults = Faults::default();
    let folders = folders(&root().join("host/src"));
    for folder in &folders {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let top = folder.split('/').next().unwrap_or(folder);
        // A row of the table begins with the module; its other folders are named in the same row.
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{top}/`")));
        let is_there =
            row.is_some_and(|row| words(row).any(|word| word.trim_end_matches('/') == name));
        if !is_there && name != "tests" {
            faults.note(format!(
                "host/src/{folder}/ is not in ARCHITECTURE.md; name it in the row of `{top}/`"
            ));
        }
    }
    let sources = host_sources();
    for (i, line) in text.lines().enumerate() {
        for word in words(line) {
            if !exists(word, &sources) {
                faults.note(format!(
                    "ARCHITECTURE.md:{}: there is no `{word}`; name what replaced it",
                    i + 1
                ));
            }
        }
    }
    faults.report();
}

#[test]
fn imports_have_one_use_for_each_crate() {
    let mut faults = Faults::default();
    for source in Source::all(&root(), &root()) {
        let shown = source.path.display().to_string();
        if !KNOWN_LOOSE_IMPORTS
            .iter()
            .any(|folder| shown.starts_with(folder))
        {
            one_use_for_each_crate(&source, &source.file.items, &mut faults);
        }
    }
    faults.report();
}

/// A Rust file of the workspace.
struct Source {
    /// Relative to the root of the workspace.
    path: PathBuf,
    /// The path of the module below the crate, such as `["kafka", "admin"]`; `["lib"]` for the root itself.
    module: Vec<String>,
    tokens: TokenStream,
    file: syn::File,
}

/// A path in a source that leads out of its module.
enum Mention {
    /// Into another module of the crate, by its top-level name.
    Internal { module: String, line: usize },
    /// Into another crate.
    External { name: String, line: usize },
}

impl Source {
    /// Every Rust file below `folder`; modules are counted from `src`.
    fn all(folder: &Path, src: &Path) -> Vec<Self> {
        let mut found = Vec::new();
        let mut entries: Vec<_> = fs::read_dir(folder)
            .expect("a folder of the workspace can be listed")
            .map(|entry| {
                entry
                    .expect("a folder of the workspace can be listed")
                    .path()
            })
            .collect();
        entries.sort();
        for path in entries {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    found.extend(Self::all(&path, src));
                }
            } else if name.ends_with(".rs") {
                found.push(Self::read(&path, src));
            }
        }
        found
    }

    fn read(path: &Path, src: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a source can be read");
        let shown = path
            .strip_prefix(root())
            .expect("a source of the workspace");
        let below = path
            .strip_prefix(src)
            .expect("a source below the root of its crate");
        let mut module: Vec<String> = below
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if let Some(last) = module.pop() {
            module.push(last.trim_end_matches(".rs").to_owned());
        }
        if module.len() > 1 && module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        Self {
            path: shown.to_owned(),
            module,
            tokens: TokenStream::from_str(&text).expect("a source has balanced brackets"),
            file: syn::parse_file(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", shown.display())),
        }
    }

    /// The module at the top of the crate that this file belongs to.
    fn top(&self) -> &str {
        &self.module[0]
    }

    /// Every path that leads into another module of the crate or into another crate.
    ///
    /// It reads tokens rather than syntax, for paths in the arguments of macros and in attributes count too.
    fn mentions(&self) -> Vec<Mention> {
        let mut paths = Vec::new();
        find_paths(self.tokens.clone(), &self.module, &mut paths);
        let local = self.local_names();
        let mention = |(segments, line): (Vec<String>, usize)| {
            let first = segments.first()?;
            match (&**first, segments.get(1)) {
                ("crate" | "eventos", Some(module)) => {
                    let module = module.clone();
                    Some(Mention::Internal { module, line })
                }
                _ if local.contains(first) => None,
                _ => Some(Mention::External {
                    name: first.clone(),
                    line,
                }),
            }
        };
        paths.into_iter().filter_map(mention).collect()
    }

    /// Names that imports and module declarations bind to something of this crate, so that they stand for no crate.
    fn local_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for item in &self.file.items {
            match item {
                Item::Mod(module) => {
                    names.insert(module.ident.to_string());
                }
                Item::Use(import) => {
                    let mut leaves = Vec::new();
                    use_leaves(&import.tree, &mut Vec::new(), &mut leaves);
                    let own = |path: &Vec<String>| {
                        matches!(&*path[0], "crate" | "self" | "super") && path.len() > 1
                    };
                    let own = leaves.into_iter().filter(own);
                    names.extend(own.filter_map(|mut path| path.pop()));
                }
                _ => {}
            }
        }
        names
    }
}

/// Collects `a::b` and the paths of `use` groups: absolute where they begin with `crate`, `self` or `super`.
fn find_paths(tokens: TokenStream, module: &[String], found: &mut Vec<(Vec<String>, usize)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut i = 0;
    while i < tokens.len() {
        match &tokens[i] {
            TokenTree::Ident(word) if word == "mod" => {
                // What is inside an inline module is one level deeper.
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                    (tokens.get(i + 1), tokens.get(i + 2))
                {
                    let mut inner = module.to_vec();
                    inner.push(name.to_string());
                    find_paths(body.stream(), &inner, found);
                    i += 3;
                    continue;
                }
                i += 1;
            }
            TokenTree::Ident(_) => {
                let after = i.checked_sub(1).map(|before| &tokens[before]);
                let is_import = matches!(after, Some(TokenTree::Ident(before)) if before == "use");
                let is_path = is_colons(&tokens, i + 1);
                let is_start = !matches!(after, Some(TokenTree::Punct(mark)) if matches!(mark.as_char(), '.' | '\''));
                if is_start && (is_path || is_import) {
                    i = follow(&tokens, i, Vec::new(), module, found);
                } else {
                    i += 1;
                }
            }
            TokenTree::Group(group) => {
                find_paths(group.stream(), module, found);
                i += 1;
            }
            _ => i += 1,
        }
    }
}

/// Reads the path that begins at `i`, and returns the index after it.
fn follow(
    tokens: &[TokenTree],
    mut i: usize,
    mut path: Vec<String>,
    module: &[String],
    found: &mut Vec<(Vec<String>, usize)>,
) -> usize {
    let line = tokens[i].span().start().line;
    loop {
        match tokens.get(i) {
            Some(TokenTree::Ident(name)) => path.push(name.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut start = 0;
                while start < inner.len() {
                    start = follow(&inner, start, path.clone(), module, found);
                    // To the next element of the group.
                    while inner.get(start).is_some_and(|it| !is_mark(it, ',')) {
                        start += 1;
                    }
                    start += 1;
                }
                return i + 1;
            }
            _ => break,
        }
        i += 1;
        if !is_colons(tokens, i) {
            break;
        }
        i += 2;
    }
    if !path.is_empty() {
        found.push((absolute(&path, module), line));
    }
    i
}

fn is_colons(tokens: &[TokenTree], i: usize) -> bool {
    let colon = |i: usize| tokens.get(i).is_some_and(|it| is_mark(it, ':'));
    colon(i) && colon(i + 1)
}

fn is_mark(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(mark) if mark.as_char() == wanted)
}

/// The path from the root of the crate; unchanged if it does not begin with `crate`, `self` or `super`.
fn absolute(path: &[String], module: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let own = &path[0] == "self";
    if supers == 0 && !own {
        return path.to_vec();
    }
    let kept = module.len().saturating_sub(supers);
    let rest = path.iter().skip(supers + usize::from(own));
    let root = std::iter::once("crate".to_owned());
    root.chain(module[..kept].iter().cloned())
        .chain(rest.cloned())
        .collect()
}

/// Which module may use which.
struct Drawing {
    /// For each module, all modules that it may use, whether directly or by way of others.
    reachable: BTreeMap<String, BTreeSet<String>>,
}

impl Drawing {
    /// Reads the first code block: chains such as `a -> { b, c } -> d`, one or more a line, with remarks in parentheses.
    fn read(architecture: &str) -> Self {
        let block = architecture
            .split("```")
            .nth(1)
            .expect("ARCHITECTURE.md begins with a drawing");
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for chain in block.lines().flat_map(|line| line.split(';')) {
            let chain = chain.split('(').next().unwrap_or_default();
            let set = |part: &str| -> Vec<String> {
                let names = part.split(['{', '}', ',']).map(str::trim);
                names
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect()
            };
            let sets: Vec<_> = chain.split("->").map(set).collect();
            for pair in sets.windows(2) {
                for from in &pair[0] {
                    edges
                        .entry(from.clone())
                        .or_default()
                        .extend(pair[1].iter().cloned());
                }
            }
        }
        let mut reachable = BTreeMap::new();
        for from in edges.keys() {
            let mut seen = BTreeSet::new();
            let mut next: Vec<_> = edges[from].iter().cloned().collect();
            while let Some(module) = next.pop() {
                next.extend(
                    edges
                        .get(&module)
                        .into_iter()
                        .flatten()
                        .filter(|to| !seen.contains(*to))
                        .cloned(),
                );
                seen.insert(module);
            }
            reachable.insert(from.clone(), seen);
        }
        Self { reachable }
    }

    fn allows(&self, from: &str, to: &str) -> bool {
        self.reachable
            .get(from)
            .is_some_and(|reachable| reachable.contains(to))
    }
}

/// Collects the types that a module exports: those that it declares for the crate, those that it re-exports from its
/// private modules, and those of its public modules.
fn export<'s>(
    source: &'s Source,
    by_module: &BTreeMap<&[String], &'s Source>,
    exported: &mut Vec<(String, &'s Source, usize)>,
) {
    for item in &source.file.items {
        let declared = match item {
            Item::Struct(it) => Some((&it.vis, &it.ident)),
            Item::Enum(it) => Some((&it.vis, &it.ident)),
            Item::Trait(it) => Some((&it.vis, &it.ident)),
            Item::Type(it) => Some((&it.vis, &it.ident)),
            _ => None,
        };
        let declared = declared.filter(|(vis, _)| is_exported(vis));
        exported.extend(declared.map(|(_, name)| (name.to_string(), source, line_of(name))));
        match item {
            Item::Use(import) if is_exported(&import.vis) => {
                let line = import.use_token.span.start().line;
                let mut leaves = Vec::new();
                use_leaves(&import.tree, &mut Vec::new(), &mut leaves);
                for mut path in leaves {
                    let foreign = matches!(&*path[0], "crate" | "super");
                    let name = path.pop().filter(|name| !foreign && is_type(name));
                    exported.extend(name.map(|name| (name, source, line)));
                }
            }
            Item::Mod(module) if is_exported(&module.vis) => {
                let mut inner = source.module.clone();
                inner.push(module.ident.to_string());
                if let Some(inner) = by_module.get(&inner[..]) {
                    export(inner, by_module, exported);
                }
            }
            _ => {}
        }
    }
}

fn line_of(name: &syn::Ident) -> usize {
    name.span().start().line
}

/// Whether the rest of the crate sees it.
fn is_exported(vis: &Visibility) -> bool {
    match vis {
        Visibility::Public(_) => true,
        Visibility::Restricted(to) => to.path.is_ident("crate"),
        Visibility::Inherited => false,
    }
}

/// By its spelling: `Partition`, but neither `partition` nor `PARTITION`.
fn is_type(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && (name.len() == 1 || name.contains(|letter: char| letter.is_ascii_lowercase()))
}

/// The full path of each name that a `use` binds, with the name that it is bound to at the end.
fn use_leaves(tree: &UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            use_leaves(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                use_leaves(tree, prefix, leaves);
            }
        }
        UseTree::Name(name) if name.ident == "self" => leaves.push(prefix.clone()),
        UseTree::Name(name) => leaves.push([&prefix[..], &[name.ident.to_string()]].concat()),
        UseTree::Rename(name) => leaves.push([&prefix[..], &[name.rename.to_string()]].concat()),
        UseTree::Glob(_) => {}
    }
}

fn one_use_for_each_crate(source: &Source, items: &[Item], faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for item in items {
        match item {
            Item::Use(import) => {
                let root = match &import.tree {
                    UseTree::Path(path) => path.ident.to_string(),
                    _ => continue,
                };
                // Attributes, such as `#[cfg(test)]`, hold for a whole `use`.
                let vis = match &import.vis {
                    Visibility::Public(_) => "pub".to_owned(),
                    Visibility::Restricted(to) => to
                        .path
                        .segments
                        .iter()
                        .map(|it| it.ident.to_string())
                        .collect(),
                    Visibility::Inherited => String::new(),
                };
                if import.attrs.is_empty() && !seen.insert((root.clone(), vis)) {
                    let message = format!(
                        "imports from `{root}` a second time; nest both in one `use {root}::{{…}}`"
                    );
                    faults.add(source, import.use_token.span.start().line, message);
                }
            }
            Item::Mod(module) => {
                if let Some((_, items)) = &module.content {
                    one_use_for_each_crate(source, items, faults);
                }
            }
            _ => {}
        }
    }
}

/// What stands between backticks.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether what ARCHITECTURE.md puts between backticks is there, as far as it is a path of files or of Rust.
fn exists(word: &str, sources: &[Source]) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    if !word.chars().all(is_word) {
        return true;
    }
    if let Some((module, rest)) = word.split_once("::") {
        let mut within = sources
            .iter()
            .filter(|source| source.top() == module)
            .peekable();
        // This is an item of another crate, or a method of a type: only modules are looked up.
        if within.peek().is_none() {
            return true;
        }
        let names = |source: &Source| rest.split("::").all(|name| declares(&source.tokens, name));
        let files = |source: &Source| {
            source.module[1..]
                .iter()
                .any(|part| rest.split("::").next() == Some(part))
        };
        return within.any(|source| names(source) || files(source));
    }
    let file = [".rs", ".md", ".toml", ".wit"]
        .iter()
        .any(|end| word.ends_with(end));
    if !word.contains('/') && !file {
        return true;
    }
    if word.starts_with('/') || word.contains(':') {
        return true;
    }
    // A row may name the folders of its module without the module.
    let below = |folder: &str| root().join(folder).join(word).exists();
    let nested = || {
        let nested = |folder: &String| below(&format!("host/src/{folder}"));
        folders(&root().join("host/src")).iter().any(nested)
    };
    ["", "host/src", "host/tests", "broker/src"]
        .into_iter()
        .any(below)
        || nested()
}

fn declares(tokens: &TokenStream, name: &str) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => declares(&group.stream(), name),
        _ => false,
    })
}

/// Every folder below `root`, relative to it, with `/` between names.
fn folders(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).expect("a folder of the workspace can be listed") {
        let path = entry
            .expect("a folder of the workspace can be listed")
            .path();
        if path.is_dir() {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            found.extend(
                folders(&path)
                    .into_iter()
                    .map(|below| format!("{name}/{below}")),
            );
            found.push(name);
        }
    }
    found.sort();
    found
}

/// What breaks a rule, a line each.
#[derive(Default)]
struct Faults(String);

impl Faults {
    fn add(&mut self, source: &Source, line: usize, message: String) {
        let fault = format!("{}:{line}: {message}\n", source.path.display());
        // A line may name the same crate several times.
        if !self.0.ends_with(&fault) {
            self.0.push_str(&fault);
        }
    }

    fn note(&mut self, message: String) {
        let _ = writeln!(self.0, "{message}");
    }

    fn report(self) {
        assert!(self.0.is_empty(), "\n{}", self.0);
    }
}

fn host_sources() -> Vec<Source> {
    let src = root().join("host/src");
    Source::all(&src, &src)
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md"))
        .expect("the workspace has an ARCHITECTURE.md")
}

/// The root of the workspace.
fn root() -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    host.parent()
        .expect("the package lies in the workspace")
        .to_owned()
}

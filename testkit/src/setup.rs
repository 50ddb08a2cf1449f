//! The folder and the configuration of a daemon, from which it is started.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    Broker, Daemon, Issued, ReceivedRecord, blocking_client, handler, read_topic,
    wait_until_committed,
};

/// The folder and the configuration of a daemon. They outlive it: a daemon that is started again finds the data of the one
/// before.
pub struct Setup {
    /// Path of the executable.
    pub program: String,
    /// Folder with the configuration, the drop-in folder and the data of the built-in broker.
    pub dir: TempDir,
    /// Prefix of the names of topics and group. It is unique, so that all tests can share one Kafka.
    pub name: String,
    /// Value of `kafka.bootstrap_servers`; for example, the address of another daemon's broker.
    pub servers: String,
    /// Value of `embedded.listen`. The default is a free port; a test that starts the daemon again at the same address sets one.
    pub broker_listen: String,
    /// Environment variables of the daemon, see [`Setup::set_env`].
    environment: Vec<(String, String)>,
    /// Value of `handlers.cache`. All tests share one folder, except those that look into it.
    pub cache: PathBuf,
    /// The key that this process sends to the daemon with every request.
    pub key: Option<String>,
    /// The authorities that this process trusts if the daemon serves with TLS, in PEM.
    pub ca: Option<String>,
    /// The certificate that this process shows to the daemon if it asks for one.
    pub client_certificate: Option<Issued>,
    /// A command that runs the daemon, if it is not started directly. The daemon's command line follows it.
    pub wrapper: Vec<String>,
    /// More configuration, in TOML.
    config: String,
}

impl Setup {
    /// Prepares a daemon of the executable `program` on this broker, with these handlers in this order, and with `config` (TOML)
    /// added to its configuration.
    #[must_use]
    pub fn new(program: &str, broker: Broker, handlers: &[&str], config: &str) -> Self {
        let dir = TempDir::with_prefix("eventos-").expect("a folder");
        let plugins = dir.path().join("plugins");
        fs::create_dir(&plugins).expect("the drop-in folder is created");
        for (i, name) in handlers.iter().enumerate() {
            let to = plugins.join(format!("{i}0-{name}.wasm"));
            fs::copy(handler(name), to).expect("the handler is copied");
        }
        let name = dir.path().file_name().expect("a name");
        // The program is in a folder for its profile, such as `target/debug`.
        let target = Path::new(program).ancestors().nth(2);
        Self {
            program: program.to_owned(),
            name: name.to_string_lossy().into_owned(),
            dir,
            servers: broker.servers(),
            broker_listen: "127.0.0.1:0".to_owned(),
            environment: Vec::new(),
            cache: target.expect("a target folder").join("tmp/handlers"),
            key: None,
            ca: None,
            client_certificate: None,
            wrapper: Vec::new(),
            config: config.to_owned(),
        }
    }

    /// Returns the name of the topic of Eventos.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{}-eventos", self.name)
    }

    /// Returns the name of the dead-letter topic.
    #[must_use]
    pub fn dead_letter_topic(&self) -> String {
        format!("{}-dead", self.name)
    }

    /// Adds configuration (TOML) that could not be given to [`Setup::new`] because it contains the names of this setup.
    pub fn add_config(&mut self, config: &str) {
        self.config.push_str(config);
    }

    /// Sets an environment variable of the daemon.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Makes the daemon serve with TLS, with a certificate that `ca` has issued.
    pub fn use_certificate(&mut self, issued: &Issued, ca: &str) {
        self.write_certificate(issued);
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| self.path(name));
        self.add_config(&format!(
            "\n[http.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"
        ));
        self.ca = Some(ca.to_owned());
    }

    /// Replaces the files of [`Setup::use_certificate`].
    pub fn write_certificate(&self, issued: &Issued) {
        self.write("certificate.pem", &issued.certificate);
        self.write("key.pem", &issued.key);
    }

    /// Writes a file into the folder, which only this user can read, and returns its path.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the file is written");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&path, private).expect("it is our file");
        path
    }

    /// Returns the path of a file in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration file and returns its path.
    pub fn write_config(&self) -> PathBuf {
        let path = self.dir.path().join("eventos.toml");
        let [plugins, data, versions] =
            ["plugins", "broker", "versions"].map(|name| self.dir.path().join(name));
        let config = format!(
            "[kafka]\nbootstrap_servers = {:?}\ntopic = {:?}\ngroup_id = {:?}\n\
             [embedded]\nlisten = {:?}\ndir = {data:?}\n\
             [delivery]\ndead_letter_topic = {:?}\n\
             [http]\nlisten = \"127.0.0.1:0\"\n\
             [handlers]\ndir = {plugins:?}\nversions = {versions:?}\ncache = {:?}\n{}\n",
            self.servers,
            self.topic(),
            self.name,
            self.broker_listen,
            self.dead_letter_topic(),
            self.cache,
            self.config,
        );
        fs::write(&path, config).expect("the configuration is written");
        path
    }

    /// Starts the daemon and waits until it is ready.
    #[must_use]
    pub fn start(&self) -> Daemon {
        let daemon = self.start_listening();
        daemon.wait_until_ready();
        daemon
    }

    /// Starts the daemon and waits until it listens, but not until it is ready.
    #[must_use]
    pub fn start_listening(&self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_until_listening();
        daemon
    }

    /// Starts the daemon, and checks that it exits with code 1 before it listens. Returns its log.
    pub fn expect_start_failure(&self) -> String {
        let (status, log) = self.spawn().wait_for_exit();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(!log.contains("listening on"), "{log}");
        log
    }

    /// Starts the daemon and waits for nothing; it may fail to start.
    #[must_use]
    pub fn spawn(&self) -> Daemon {
        let program = self.program.clone();
        let mut words = self.wrapper.iter().cloned().chain([program]);
        let child = Command::new(words.next().expect("a program"))
            .args(words)
            .args(["serve", "--config"])
            .arg(self.write_config())
            .envs(self.environment.iter().cloned())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let client = blocking_client(
            self.key.as_deref(),
            self.ca.as_deref(),
            self.client_certificate.as_ref(),
        );
        Daemon::new(child, self.servers.clone(), client)
    }

    /// Waits until the group has committed every record of the topic of Eventos.
    pub fn wait_until_committed(&self, daemon: &Daemon) {
        wait_until_committed(daemon.broker(), &self.name, &self.topic());
    }

    /// Reads the dead-letter topic, in the order of the records that the dead letters were made from.
    #[must_use]
    pub fn read_dead_letters(&self, daemon: &Daemon) -> Vec<ReceivedRecord> {
        let letters = read_topic(daemon.broker(), &self.dead_letter_topic());
        let mut letters: Vec<_> = letters.into_iter().map(ReceivedRecord::from).collect();
        letters.sort_by_key(|letter| {
            let number = |name| letter.header(name).parse::<i64>().expect("a number");
            let names = ["__connect.errors.partition", "__connect.errors.offset"];
            names.map(number)
        });
        letters
    }
}

//! The daemons of the group, which are killed, stopped and started again.

use std::{
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};

use eventos_testkit::{self as testkit, Daemon, Setup, committed_offsets, end_offsets, eventually};
use fastrand::Rng;
use tokio::signal::unix::SignalKind;

use crate::{EVENTOS, Guarantee, load::Names};

/// Number of daemons at the start. One more joins and leaves.
const INITIAL: usize = 2;

/// Failpoints of the pipeline at which some of the daemons kill themselves. Not every guarantee passes all of them.
const FAILPOINTS: [&str; 8] = [
    "handled",
    "produced",
    "acknowledged",
    "shown",
    "offset-stored",
    "begun",
    "offset-sent",
    "committed",
];

/// Time between two messages about what is not committed yet.
const REPORT_INTERVAL: Duration = Duration::from_secs(20);

/// All daemons, running or not.
pub(crate) struct Fleet {
    members: Vec<Member>,
}

struct Member {
    setup: Setup,
    /// `None` while it is down.
    daemon: Option<Daemon>,
    /// Time at which it is started again.
    down_until: Instant,
    /// Whether it has left, so that it is not started again.
    has_left: bool,
    /// Whether it was started with a failpoint at which it kills itself.
    has_failpoint: bool,
}

impl Fleet {
    /// Starts the first daemons, and waits until one of them is ready.
    pub(crate) fn start(servers: &str, names: &Names, guarantee: Guarantee) -> Self {
        let member = |i| Member::new(servers, names, guarantee, i == INITIAL);
        let mut members: Vec<_> = (0..=INITIAL).map(member).collect();
        for member in members.iter_mut().filter(|member| !member.has_left) {
            member.daemon = Some(member.setup.start_listening());
        }
        let first = members.iter().find_map(|member| member.daemon.as_ref());
        first.expect("one was started").wait_until_ready();
        Self { members }
    }

    /// Kills one daemon with SIGKILL.
    pub(crate) fn kill_one(&mut self, random: &mut Rng) {
        if let Some(member) = self.running_member(random) {
            member.daemon.take().expect("it is running").kill();
            member.schedule_start(random);
        }
    }

    /// Stops one daemon with SIGTERM, and waits until it has exited.
    pub(crate) fn stop_one(&mut self, random: &mut Rng) {
        if let Some(member) = self.running_member(random) {
            let daemon = member.daemon.take().expect("it is running");
            member.stop(daemon);
            member.schedule_start(random);
        }
    }

    /// Stops all daemons with SIGTERM. Those that have not left start again soon.
    pub(crate) fn stop_all(&mut self) {
        for member in &mut self.members {
            if let Some(daemon) = member.daemon.take() {
                member.stop(daemon);
                member.down_until = Instant::now();
            }
        }
    }

    /// Lets the additional daemon join or leave.
    pub(crate) fn grow_or_shrink(&mut self, random: &mut Rng) {
        let last = self.members.last_mut().expect("there are members");
        last.has_left = !last.has_left;
        if last.has_left
            && let Some(daemon) = last.daemon.take()
        {
            match random.bool() {
                true => last.stop(daemon),
                false => daemon.kill(),
            }
        }
    }

    /// Starts the daemons whose time to start has come. Returns how many have killed themselves at a failpoint. A daemon that has
    /// exited for another reason is an error.
    pub(crate) fn revive(&mut self, random: &mut Rng) -> usize {
        let mut deaths = 0;
        for member in &mut self.members {
            if let Some(daemon) = &mut member.daemon {
                if daemon.has_exited() {
                    let log = daemon.log();
                    assert!(member.has_failpoint, "a daemon exited by itself:\n{log}");
                    deaths += 1;
                    member.daemon = None;
                    member.schedule_start(random);
                }
            } else if !member.has_left && member.down_until <= Instant::now() {
                member.start(random);
            }
        }
        // If all of them are down, one starts at the next call.
        if self.members.iter().all(|member| member.daemon.is_none()) {
            let initial = self.members[..INITIAL].iter_mut();
            let member = random.choice(initial).expect("there are members");
            member.down_until = Instant::now();
        }
        deaths
    }

    /// Starts every daemon that is down, and starts those with a failpoint again without it.
    pub(crate) fn settle(&mut self) {
        for member in &mut self.members {
            let is_running = member.daemon.as_mut().is_some_and(|it| !it.has_exited());
            if member.has_failpoint || !is_running {
                // This kills a daemon that is still running.
                member.daemon = None;
                member.has_failpoint = false;
                member.setup.set_env("FAILPOINTS", "");
                member.daemon = Some(member.setup.spawn());
            }
        }
    }

    /// Waits until the group has committed every Evento.
    pub(crate) fn wait_until_done(&self, servers: &str, names: &Names) {
        let mut last_report = Instant::now();
        eventually("every Evento to be committed", || {
            let ends = end_offsets(servers, &names.eventos);
            let committed = committed_offsets(servers, &names.group, &names.eventos);
            if last_report.elapsed() > REPORT_INTERVAL {
                last_report = Instant::now();
                println!("  waiting for commits: {committed:?} of {ends:?}");
            }
            (committed == ends).then_some(())
        });
    }

    fn running_member(&mut self, random: &mut Rng) -> Option<&mut Member> {
        let running = self
            .members
            .iter_mut()
            .filter(|member| member.daemon.is_some());
        random.choice(running.collect::<Vec<_>>())
    }
}

impl Member {
    fn new(servers: &str, names: &Names, guarantee: Guarantee, has_left: bool) -> Self {
        let guarantee = match guarantee {
            Guarantee::AtLeastOnce => "at_least_once",
            Guarantee::ExactlyOnce => "exactly_once",
        };
        let config = format!(
            "[output]\ntopic = {output:?}\n\
             [handler.probe]\nproduce = [{emitted:?}]\nconfig = {{ emit_to = {emitted:?} }}\n\
             [kafka.properties]\n\"session.timeout.ms\" = \"2000\"\n\"heartbeat.interval.ms\" = \"500\"\n",
            emitted = names.emitted,
            output = names.output
        );
        let handlers = ["probe", "store"];
        let mut setup = Setup::new(EVENTOS, testkit::Broker::Embedded, &handlers, &config);
        servers.clone_into(&mut setup.servers);
        names.group.clone_into(&mut setup.name);
        setup.set_env("EVENTOS__DELIVERY__GUARANTEE", guarantee);
        Self {
            setup,
            daemon: None,
            down_until: Instant::now(),
            has_left,
            has_failpoint: false,
        }
    }

    /// Starts the daemon. One in three gets a failpoint, at which it kills itself after some batches.
    fn start(&mut self, random: &mut Rng) {
        self.has_failpoint = random.u8(..3) == 0;
        let failpoint = random.choice(FAILPOINTS).expect("there are some");
        let failpoints = match self.has_failpoint {
            true => format!("{failpoint}={}*off->return", random.u8(1..100)),
            false => String::new(),
        };
        self.setup.set_env("FAILPOINTS", &failpoints);
        self.daemon = Some(self.setup.spawn());
    }

    fn stop(&self, daemon: Daemon) {
        daemon.signal("TERM");
        let (status, log) = daemon.wait_for_exit();
        // A signal that comes before the daemon listens to signals kills it.
        let killed = Some(SignalKind::terminate().as_raw_value());
        let was_too_early = status.signal() == killed && log.is_empty();
        assert!(
            status.success() || self.has_failpoint || was_too_early,
            "a stopped daemon exited with {status}:\n{log}"
        );
    }

    fn schedule_start(&mut self, random: &mut Rng) {
        self.down_until = Instant::now() + Duration::from_millis(random.u64(..3_000));
    }
}

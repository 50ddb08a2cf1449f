//! Measures one run of one contestant, from outside.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use eventos_testkit::{
    measure::{
        part::runtime,
        preload::{create_topics, delete_topic},
    },
    root,
};

use crate::{
    PARTITIONS, TOPIC,
    broker::BrokerView,
    child::{Child, Sample},
    contestants::{Contestant, Job},
};

/// Time after which a contestant has failed: for its start, and for every thousand events. The slowest takes a tenth of it.
const START: Duration = Duration::from_secs(120);
const THOUSAND_EVENTS: Duration = Duration::from_millis(200);

/// How often the broker is asked whether everything is there.
const INTERVAL: Duration = Duration::from_millis(5);

/// The figures of a run.
pub(crate) struct Outcome {
    /// What the contestant says that it runs with.
    pub(crate) settings: String,
    /// Microseconds of CPU time for each event, from the start of the process on.
    pub(crate) whole: f64,
    /// The same after the first third of the events, when a virtual machine has compiled what is used most.
    pub(crate) warm: f64,
    /// Thousand events per second, from the first to the last.
    pub(crate) rate: f64,
    /// Bytes of memory that came with each event.
    pub(crate) memory: f64,
}

/// Runs the contestant alone.
pub(crate) fn run(
    contestant: &Contestant,
    servers: &str,
    events: u64,
    round: u64,
) -> Result<Outcome> {
    let name = format!("race.{}.{round}", contestant.name);
    let job = Job {
        servers: servers.to_owned(),
        topic: TOPIC.to_owned(),
        group: name.clone(),
        events,
        is_exactly_once: contestant.is_exactly_once,
        output: contestant.sends.then_some(name),
    };
    let Some(output) = &job.output else {
        return run_job(contestant, &job);
    };
    let runtime = runtime();
    runtime.block_on(create_topics(servers, &[output], PARTITIONS));
    let outcome = run_job(contestant, &job);
    runtime.block_on(delete_topic(servers, output));
    outcome
}

fn run_job(contestant: &Contestant, job: &Job) -> Result<Outcome> {
    let dir = root().join("target/bench");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let log = dir.join(format!("race-{}.log", contestant.name));
    let broker = BrokerView::new(job)?;
    let mut child = Child::start(contestant.program.command(job)?, &log)?;
    let deadline = Instant::now() + START;
    let (settings, _) = child.expect("settings", deadline)?;
    let (_, ready) = child.expect("ready", deadline)?;
    child.go()?;
    let (_, first) = child.expect_count("first", deadline)?;
    let thousands = u32::try_from(job.events / 1000).context("too many events")?;
    let deadline = Instant::now() + START + THOUSAND_EVENTS * thousands;
    let (third_count, third) = child.expect_count("third", deadline)?;
    let (count, handled) = child.expect_count("done", deadline)?;
    if count < job.events {
        bail!("it handled {count} of {} events", job.events);
    }
    let mut done = handled;
    if job.is_exactly_once || job.output.is_some() {
        while !is_complete(&broker, job)? {
            if Instant::now() > deadline {
                bail!("the broker did not get everything in time");
            }
            thread::sleep(INTERVAL);
        }
        done = Sample::read(child.id())?;
    }
    Ok(Outcome {
        settings,
        whole: done.cpu * 1e6 / job.events as f64,
        warm: (done.cpu - third.cpu) * 1e6 / (job.events - third_count) as f64,
        rate: job.events as f64 / (done.at - first.at).as_secs_f64() / 1e3,
        memory: (done.resident - ready.resident) / job.events as f64,
    })
}

/// Returns whether the broker has everything: with exactly once all offsets are committed; with at least once, the output topic
/// has every event.
fn is_complete(broker: &BrokerView, job: &Job) -> Result<bool> {
    let count = match &job.output {
        Some(output) if !job.is_exactly_once => broker.produced(output)?,
        _ => broker.committed(&job.topic)?,
    };
    Ok(count >= job.events)
}

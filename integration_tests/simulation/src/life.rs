//! The life of a connection: its syncs one after the other, and what must hold after each and at the end.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fake_100ms::{DateHeader, Fake, Fault, Readings};
use futures_util::future::{Either, select};
use memchr::memmem::find;
use serde_json::{Map, Value, json};
use source_100ms::airbyte::Level;
use source_100ms::commands::{Ending, Environment, read_values};
use source_100ms::config::Config;
use source_100ms::redact::Redactor;
use source_100ms::sync::{JsonLines, Output};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::destination::{Due, Platform, catalog, has_gaps, is_left_out, items_of, written};
use crate::messages::{Message, Status, Transcript};
use crate::plan::{Chosen, End, Meanwhile, Plan, Sync, beginning};
use crate::wire::{MOST_REQUESTS, Pipe, Scene, State, Wire};

/// What `main` leaves a command to end in after a signal.
const GRACE: Duration = Duration::from_secs(2);
/// No sync takes longer, whatever goes wrong: six tries at a limit of an hour each, a minute for each message.
const LONGEST: Duration = Duration::from_secs(72 * 3600);

/// Lives the life of `plan` to its end.
///
/// # Errors
/// What did not hold.
pub fn live(plan: &Plan, story: Option<&mut Vec<String>>) -> Result<Told, String> {
    let fake = Arc::new(Fake::within(&plan.world.options(plan.seed)));
    let mut unheard = Vec::new();
    let tells = story.is_some();
    let story = story.unwrap_or(&mut unheard);
    let (platform, told, changed_at) = (Platform::default(), Told::default(), beginning());
    Life { plan, fake, platform, told, changed_at, switched_at: None, gaps: BTreeSet::new(), tells, story }.run()
}

/// What came of it: whoever lives the same life twice gets the same.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Told {
    pub requests: u64,
    pub records: u64,
    hash: u64,
}

struct Life<'a> {
    plan: &'a Plan,
    fake: Arc<Fake>,
    platform: Platform,
    told: Told,
    /// When the world last changed.
    changed_at: DateTime<Utc>,
    /// When rooms were last switched, by what they say.
    switched_at: Option<DateTime<Utc>>,
    /// Streams of which something is missing for good, and that was told.
    gaps: BTreeSet<&'static str>,
    tells: bool,
    story: &'a mut Vec<String>,
}

impl Life<'_> {
    fn run(mut self) -> Result<Told, String> {
        for (number, sync) in self.plan.syncs.iter().enumerate() {
            for moment in &sync.meanwhile {
                self.pass(*moment);
            }
            if self.plan.runner.loses == Some(number) {
                self.platform.states.clear();
                self.tell("the states are lost".to_owned());
            }
            let goes_on = self.plan.streams.iter().any(|chosen| self.goes_on(chosen.name));
            let began = self.fake.now();
            let (transcript, ending) = self.sync(sync)?;
            // Files are finished some minutes after they were made, also when nothing else happens.
            let has_files = |chosen: &Chosen| items_of(chosen.name).contains(&"/v2/recording-assets/");
            let most = if self.plan.streams.iter().any(has_files) { 1 } else { 300 };
            let is_short = self.fake.now() - began < TimeDelta::seconds(most);
            let is_still = sync.is_still() && is_short && self.plan.world.lag.is_zero();
            if ending == Some(Ending::Well) && !goes_on && is_still {
                self.compare(&transcript, self.due_at_once())?;
            }
        }
        self.settle()?;
        Ok(self.told)
    }

    /// On a day on which nothing goes wrong all is there that was ever missed, and then there is nothing to read.
    fn settle(&mut self) -> Result<(), String> {
        let quiet = self.plan.syncs.last().map(Sync::quietened).ok_or("a life without a sync")?;
        let due = if self.plan.config["analytics_rooms"] == "recent" { self.due_at_once() } else { Due::All };
        // The first may only go on with what was cut long ago. In a day, every room is asked for its events.
        for number in 0..2 {
            self.pass(Meanwhile::Quiet(TimeDelta::hours(25)));
            let (transcript, ending) = self.sync(&quiet)?;
            if ending != Some(Ending::Well) {
                return Err(format!("on a good day, it ended with {ending:?}"));
            }
            if number > 0 {
                self.compare(&transcript, due)?;
            }
        }
        self.pass(Meanwhile::Quiet(TimeDelta::hours(2)));
        let (transcript, _) = self.sync(&quiet)?;
        // Records come again with a longer look-back; and where a state cannot remember all unfinished files.
        let looks_further = self.plan.config["lookback_hours"] != 0;
        let is_short =
            |name: &str| self.plan.runner.memory < usize::MAX && items_of(name).contains(&"/v2/recording-assets/");
        for chosen in self.plan.streams.iter().filter(|chosen| !chosen.is_full && !is_short(chosen.name)) {
            let again = transcript.records_of(chosen.name).count();
            if again > 0 && !looks_further {
                return Err(format!("{}: nothing has changed, and {again} records come again", chosen.name));
            }
        }
        Ok(())
    }

    /// The events that a sync finds which does not ask every room for all of them.
    fn due_at_once(&self) -> Due {
        let mut readings = Readings::documented();
        let filters_are_odd = self.plan.world.flips.iter().any(|flip| readings.flip(*flip).starts_with("events: "));
        match () {
            () if self.plan.config["analytics_rooms"] == "all" => Due::All,
            () if filters_are_odd => Due::Moves,
            () => Due::OfSessions,
        }
    }

    fn compare(&self, transcript: &Transcript, due: Due) -> Result<(), String> {
        let is_complete = |chosen: &&Chosen| transcript.statuses_of(chosen.name).contains(&Status::Complete);
        let chosen: Vec<&Chosen> = self.plan.streams.iter().filter(is_complete).collect();
        let mut names: Vec<&str> = chosen.iter().map(|chosen| chosen.name).collect();
        let mut truth = self.fake.truth_of(&names, Some(self.plan.start_date));
        // The oldest minutes of the webhook history are gone before they can be asked for.
        let oldest = written(self.fake.now() - TimeDelta::days(30) + TimeDelta::minutes(5));
        if let Some(events) = truth.streams.get_mut("webhook_events") {
            events.retain(|_, event| event["created_at"].as_str() > Some(oldest.as_str()));
        }
        names.push("sessions");
        let all = self.fake.truth_of(&names, None);
        let due = |chosen: &Chosen| if self.gaps.contains(chosen.name) { Due::Nothing } else { due };
        let wrong: Vec<String> = chosen
            .into_iter()
            .flat_map(|chosen| self.platform.differences(self.plan, chosen, &truth, &all, due(chosen)))
            .collect();
        let first = wrong[..wrong.len().min(5)].join("\n");
        let sentence = || format!("{} differences from the truth, of which the first are:\n{first}", wrong.len());
        if wrong.is_empty() { Ok(()) } else { Err(sentence()) }
    }

    fn tell(&mut self, line: String) {
        if self.tells {
            self.story.push(line);
        }
    }

    fn pass(&mut self, moment: Meanwhile) {
        let changes = match moment {
            Meanwhile::Quiet(time) => (self.fake.let_sessions_end(time), None).1,
            Meanwhile::Little(seconds) => Some(self.fake.advance_seconds(seconds)),
            Meanwhile::Hour => Some(self.fake.advance()),
            // What has changed since is not stamped with an earlier time: no `updated_at` goes back.
            Meanwhile::Stamp(seconds) if self.fake.now() - TimeDelta::seconds(seconds) <= self.changed_at => None,
            Meanwhile::Stamp(seconds) => Some(self.fake.stamp(TimeDelta::seconds(-seconds))),
            Meanwhile::Switch => {
                let now = self.fake.now();
                let is_way_back = |at: &DateTime<Utc>| *at == self.changed_at && *at + TimeDelta::seconds(540) > now;
                let at = self.switched_at.filter(is_way_back).unwrap_or(now);
                self.fake.switch_rooms(2, at);
                (self.switched_at, self.changed_at) = (Some(at), at);
                None
            }
        };
        if changes.is_some() {
            self.changed_at = self.fake.now();
        }
        let mut touched = changes.map(|changes| changes.streams).unwrap_or_default();
        touched.retain(|stream, _| self.plan.streams.iter().any(|chosen| chosen.name == stream));
        self.tell(format!("{moment:?}, until {}. {touched:?}", written(self.fake.now())));
    }

    /// One sync, with all that holds for each.
    fn sync(&mut self, sync: &Sync) -> Result<(Transcript, Option<Ending>), String> {
        self.fake.reset_requests();
        let scene = Scene::new(Arc::clone(&self.fake), sync, self.tells);
        self.tell(format!("sync at {}: {sync:?}", written(self.fake.now())));
        let (plan, config, state) = (self.plan, self.config(), self.platform.handed_back());
        for chosen in plan.streams.iter().filter(|chosen| chosen.is_full) {
            if !self.goes_on(chosen.name) {
                self.gaps.remove(chosen.name);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let ended = runtime.block_on(run(Arc::clone(&scene), plan, &config, &state));
        drop(runtime);
        let State { output, refused, requests, story, .. } = scene.finish();
        self.story.extend(story);
        let transcript = Transcript::parse(&output);
        self.tell_messages(&transcript);
        transcript.assert_in_order();
        let ending = ended?;
        self.told.requests += requests;
        self.told.records += transcript.records().count() as u64;
        let mut hasher = DefaultHasher::new();
        (self.told.hash, &output).hash(&mut hasher);
        self.told.hash = hasher.finish();
        if requests > MOST_REQUESTS {
            return Err(format!("{requests} requests in one sync"));
        }
        self.look_for_secrets(&output)?;
        // Where 100ms says a wrong time, it is asked by that.
        let is_silent = sync.faults.iter().any(|rule| matches!(rule.fault, Fault::NoDate));
        let is_told_the_time = sync.clock.date == DateHeader::True && sync.clock.jump.is_none() && !is_silent;
        if let Some(unexpected) = self.fake.unexpected().first().filter(|_| is_told_the_time) {
            return Err(format!("a request against the documents: {unexpected}"));
        }
        if let Some(error) = transcript.errors().iter().find(|error| error.internal_message.contains("panicked")) {
            return Err(format!("a panic: {}", error.internal_message));
        }
        if sync.busy > 0.0 {
            self.changed_at = self.fake.now();
        }
        // Only where a full refresh was cut, one that was finished is not read again.
        let may_leave_out = plan.streams.iter().any(|chosen| chosen.is_full && self.goes_on(chosen.name));
        for chosen in &plan.streams {
            if is_left_out(&transcript, chosen.name) && !may_leave_out {
                return Err(format!("{} is left out, although no full refresh was cut", chosen.name));
            }
            if has_gaps(&transcript, &refused, chosen.name) {
                if sync.faults.is_empty() {
                    return Err(format!("{} says that something is missing, and nothing was refused", chosen.name));
                }
                self.gaps.insert(chosen.name);
            }
        }
        self.platform.load(self.plan, &transcript, ending == Some(Ending::Well));
        Ok((transcript, ending))
    }

    fn goes_on(&self, name: &str) -> bool {
        self.platform.states.get(name).is_some_and(|state| state["resume"].is_object())
    }

    fn config(&self) -> Map<String, Value> {
        let mut config = self.plan.config.as_object().cloned().unwrap_or_default();
        let credentials = json!({"auth_type": "app_credentials", "app_access_key": self.fake.access_key(), "app_secret": self.fake.app_secret()});
        config.insert("credentials".into(), credentials);
        config.insert("start_date".into(), written(self.plan.start_date).into());
        config.insert("api_url".into(), self.fake.url().into());
        let extra: Vec<&str> = source_100ms::streams::EXTRA.iter().map(|stream| stream.name).collect();
        config.insert("extra_streams".into(), json!(extra));
        config
    }

    fn look_for_secrets(&self, output: &[u8]) -> Result<(), String> {
        // Those in the data begin alike, and so do tokens.
        let has_token = find(output, b"eyJ").is_some();
        let is_other = |secret: &String| !secret.starts_with("PLANTED-") && (has_token || !secret.starts_with("eyJ"));
        let others = self.fake.secrets().into_iter().filter(is_other);
        match std::iter::once("PLANTED-".to_owned()).chain(others).find_map(|secret| find(output, secret.as_bytes())) {
            Some(at) => {
                let around = &output[at.saturating_sub(80)..output.len().min(at + 80)];
                Err(format!("a secret came out: …{}", String::from_utf8_lossy(around)))
            }
            None => Ok(()),
        }
    }

    fn tell_messages(&mut self, transcript: &Transcript) {
        for message in transcript.messages.iter().filter(|_| self.tells) {
            let line = match message {
                Message::Record { record } => format!("  RECORD {} {}", record.stream, record.key()),
                Message::State { state } => {
                    let stream = &state.stream;
                    format!("  STATE {} {}", stream.stream_descriptor.name, json!(stream.stream_state))
                }
                Message::Log { log } => format!("  {:?} {}", log.level, log.message),
                Message::Trace { trace } => format!("  {trace:?}"),
                _ => continue,
            };
            self.story.push(line);
        }
    }
}

type Ended = Result<Option<Ending>, String>;

/// Runs the command as `main` does; `None` when it was killed.
async fn run(scene: Arc<Scene>, plan: &Plan, config: &Map<String, Value>, state: &Value) -> Ended {
    let (sync, catalog) = (&scene.sync, catalog(plan));
    clock::begin(scene.fake.now(), sync, plan.runner.memory);
    scene.fake.set_date(sync.clock.date.clone());
    scene.fake.set_faults(fake_100ms::FaultPlan { seed: sync.seed, rules: sync.faults.clone(), ..Default::default() });
    let redactor = Redactor::new(Config::secrets(config));
    let (output, mut lines) = Output::new(JsonLines(Pipe(Arc::clone(&scene))), redactor, Level::Info);
    let reader = Arc::clone(&scene);
    let writer = tokio::spawn(async move {
        loop {
            sleep(reader.pause()).await;
            if !matches!(lines.write_next().await, Ok(true)) {
                return;
            }
        }
    });
    let environment = Environment { exchange: Some(Arc::new(Wire(Arc::clone(&scene)))), ..Environment::default() };
    let stop = CancellationToken::new();
    let command = async {
        let ending = read_values(config.clone(), &catalog, state, &environment, &output, stop.clone()).await;
        drop(output);
        // A writer that has panicked has ended, too.
        let _ = writer.await;
        ending
    };
    let (over, command) = (std::pin::pin!(scene.over.notified()), std::pin::pin!(timeout(LONGEST, command)));
    let ended = match select(over, command).await {
        Either::Right((ended, _)) => Some(ended.map_err(|_| "it has not come to an end after three days")?),
        Either::Left(((), running)) if matches!(sync.end, End::Stop(_) | End::StopAtItem(_)) => {
            stop.cancel();
            timeout(GRACE, running).await.ok().and_then(Result::ok)
        }
        Either::Left(_) => None,
    };
    scene.die();
    scene.tell(|| format!("it ends: {ended:?}"));
    scene.fake.let_time_pass((clock::now() - scene.fake.now()).max(TimeDelta::zero()));
    Ok(ended)
}

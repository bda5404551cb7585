//! Behaviour through the real binary, against a fake 100ms API that does all its documents allow.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its assumptions do")]
#![expect(clippy::print_stderr, reason = "what a test was doing is shown when it fails")]

/// Starts fake and binary, prints everything on failure.
mod harness;
/// The protocol's messages, defined a second time and strictly.
#[allow(dead_code, reason = "parsing checks the fields that no test reads")]
mod messages;
/// What a platform keeps, and what it may expect of any output.
mod platform;

/// Errors with a good status and answers with nothing in them, at every endpoint.
mod answers;
/// What attacks found: clocks, lag, hostile answers, planted secrets.
mod attacks;
/// What is refused, and in which words.
mod bad_input;
/// Without a platform around: names, pipes, folders, terminals, typing errors.
mod by_hand;
/// When something was created, changed and ended, whatever 100ms says of it.
mod change_times;
/// Columns that a catalog selects and nobody knows.
mod columns;
/// `spec`, `check`, `discover`, `--help`: what they answer, and one record of every stream.
mod commands;
/// What lies between the connector and 100ms: proxies, certificates, clocks, slow destinations, large answers.
mod connections;
/// Joins, leaves and events: what is there, and what it costs to know what happened.
mod engagement;
/// The streams on request: truth, changes, kills, `check`, and what each of them promises.
mod extra_streams;
/// What goes wrong on the wire: what passes is ridden out, what stays ends one stream and no other.
mod faults;
/// Recordings and streams with their files: finished later, belonging to nothing, links to them.
mod files;
/// `read --output`: locks, crashes, users and planted files.
mod folder;
/// What looks odd and must work all the same.
mod good_input;
/// The import table, and that schemas agree with the code.
mod house;
/// Changes between and during syncs, look-backs, what a second sync costs.
mod incremental;
/// No key comes twice in a sync, but for a later state of the same thing.
mod keys;
/// The rate limit: pauses, what is said of them, and the pace that is found.
mod limits;
/// Secrets by their names, their places and their forms; and what only looks like one.
mod masking;
/// Which way requests go: past proxies, and never inside.
mod network;
/// People in sessions: their ids, and the measurements of their calls.
mod peers;
/// Names, ids of users and free text: kept, hashed or dropped.
mod privacy;
/// Every stream, in full: records, schemas, requests, readings, selection of columns, secrets.
mod read;
/// Single items that are refused or not there: gaps, and streams that are not complete.
mod refusals;
/// Kills and what they cost: states, resuming, full refresh.
mod resume;
/// `--state`: every form of a state, and the messages of a read.
mod saved_states;
/// Settings as forms and templates of settings leave them, and times in their spellings.
mod settings;
/// What a sync writes again: records at its edge, changes and their way back, finished full reads.
mod settling;
/// Signals, pipes, full disks and slow readers.
mod signals;
/// Bad days on end, with kills.
/// Values that cannot be written as they came, and columns that 100ms has added.
mod values;
/// The webhook history: what it costs, several deliveries of one event, and what a wait does.
mod webhooks;

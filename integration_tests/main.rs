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

/// Errors with a good status, and answers with nothing in them.
mod answers;
/// `--catalog`: odd but legal catalogs, selected columns, columns that 100ms has added.
mod catalog;
/// `check`: what it asks, and what it answers.
mod check;
/// Clocks that differ: of the server, of this machine, of a state.
mod clocks;
/// Arguments, help, completions, standard input, typing errors.
mod command_line;
/// `--config`: odd but legal settings, and the form that asks for them.
mod configuration;
/// Tokens: minted, pasted, refused, expiring.
mod credentials;
/// `discover`: the catalog, with and without the API.
mod discover;
/// `analytics_events`: joins and leaves, events by room and session, and what it costs to find what is new.
mod events;
/// `read --output FOLDER`: locks, crashes, users and planted files.
mod folder;
/// Full refreshes that were finished, cut or given a state.
mod full_refresh;
/// Imports, circles, and what is generated from the code.
mod house;
/// What changes between and during syncs, look-backs, what a second sync writes and costs.
mod incremental;
/// What `--config`, `--catalog` and `--state` refuse, and in which words.
mod input_files;
/// The rate limit: pauses, what is said of them, and the pace that is found.
mod limits;
/// Proxies, certificates, private addresses, slow destinations.
mod network;
/// Pages: tokens that come back, limits that are wrong, pages that are too large or too small.
mod pages;
/// `peer_quality`: measurements of calls, and people who have none.
mod peer_quality;
/// Personal data: kept, hashed or dropped.
mod privacy;
/// `recordings`, `live_streams`, `external_streams` and `recording_assets`: files that are finished later, and links to
/// them.
mod recordings;
/// Single items that are refused or not there.
mod refusals;
/// Kills at any byte: states that claim only what was written, nothing lost.
mod resume;
/// What goes wrong on the wire: faults that pass are survived, faults that stay end one stream.
mod retries;
/// Secrets by their names, places and forms; and what only looks like one.
mod secrets;
/// `sessions`, `session_peers` and `active_room_peers`: people without an id, live rooms, ends that nobody tells.
mod sessions;
/// Signals, pipes, full disks and slow readers.
mod signals;
/// `--state`: every form of a state, states of other programs, cursors in the future.
mod state;
/// Every stream in full: records, keys, schemas, requests, under every reading of the documents.
mod streams;
/// `templates` and its two children: settings, destinations, ids that cannot stand in a path.
mod templates;
/// What a person at a terminal sees.
mod terminal;
/// When something was created, changed and ended, in every spelling.
mod times;
/// Values that cannot be written as they came.
mod values;
/// `webhook_events`: what the history costs, several deliveries of one event, what moves while it is read.
mod webhook_events;
/// Windows of time: servers that ignore them, lists in no order.
mod windows;

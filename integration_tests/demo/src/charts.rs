//! Three questions that the records answer, each drawn, with the table that answers it in a warehouse.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Days, NaiveDate};
use serde_json::Value;

use crate::layout::{aligned, grouped};
use crate::show::text;

/// The longest bar.
const WIDTH: u64 = 40;
/// How many days are shown.
const DAYS: u64 = 14;

/// Records by key.
type Records<'r> = BTreeMap<String, &'r Value>;

/// The charts, ready to be printed.
pub fn of(sessions: &Records<'_>, recordings: &Records<'_>) -> [String; 3] {
    [
        chart("How many sessions began on each of the last 14 days?", "daily_usage", per_day(sessions)),
        chart("How many people were in each session?", "sessions_enriched", by_participants(sessions)),
        chart("How many recordings are in each state?", "recordings_enriched", by_status(recordings)),
    ]
}

/// A question, its answer as bars, and where the table is made that answers it.
fn chart(question: &str, table: &str, bars: Vec<(String, u64)>) -> String {
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or_default().max(1);
    let rows = bars.into_iter().map(|(label, count)| {
        // What is not nothing is seen.
        let length = if count == 0 { 0 } else { (count * WIDTH / most).max(1) };
        vec![label, grouped(count), "█".repeat(length as usize)]
    });
    format!("{question}\nThe table for it: analytics/dbt/models/marts/{table}.sql\n\n{}\n", aligned(None, rows, &[1]))
}

/// Sessions by the day (UTC) they began, for the last days in which there were any.
fn per_day(sessions: &Records<'_>) -> Vec<(String, u64)> {
    let mut days: BTreeMap<NaiveDate, u64> = BTreeMap::new();
    let began = sessions.values().filter_map(|session| text(&session["started_at"]).get(..10)?.parse().ok());
    began.for_each(|day: NaiveDate| *days.entry(day).or_default() += 1);
    let Some(last) = days.keys().next_back().copied() else { return Vec::new() };
    let shown = (0..DAYS).rev().filter_map(|back| last.checked_sub_days(Days::new(back)));
    shown.map(|day| (day.to_string(), days.get(&day).copied().unwrap_or_default())).collect()
}

/// Sessions by the number of different users; somebody without a user id counts once for each join.
fn by_participants(sessions: &Records<'_>) -> Vec<(String, u64)> {
    const GROUPS: [(&str, usize); 6] =
        [("nobody", 0), ("1", 1), ("2", 2), ("3 or 4", 4), ("5 to 8", 8), ("9 or more", usize::MAX)];
    let mut counts = [0; GROUPS.len()];
    for session in sessions.values() {
        let peers = session["peers"].as_array().into_iter().flatten();
        let people: BTreeSet<&str> = peers
            .map(|peer| Some(text(&peer["user_id"])).filter(|user| !user.is_empty()).unwrap_or(text(&peer["id"])))
            .collect();
        if let Some(group) = GROUPS.iter().position(|(_, most)| people.len() <= *most) {
            counts[group] += 1;
        }
    }
    GROUPS.iter().zip(counts).map(|((label, _), count)| ((*label).to_owned(), count)).collect()
}

/// Recordings by status, the most frequent first.
fn by_status(recordings: &Records<'_>) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    recordings.values().for_each(|recording| *counts.entry(text(&recording["status"])).or_default() += 1);
    let mut bars: Vec<(String, u64)> = counts.into_iter().map(|(status, count)| (status.to_owned(), count)).collect();
    bars.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    bars
}

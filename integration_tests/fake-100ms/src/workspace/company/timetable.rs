//! Which calls there are on a day: mostly in the afternoons of weekdays, few at night and on weekends.

use chrono::{Datelike, Days, NaiveDate, NaiveTime, TimeDelta, Weekday};

use super::rooms::{self, Kind};
use crate::workspace::model::Time;
use crate::workspace::random::Random;

/// When lessons begin, in UTC: an hour that is here more often is more popular.
const HOURS: [i64; 25] =
    [7, 8, 9, 10, 11, 13, 13, 14, 14, 14, 15, 15, 15, 15, 16, 16, 16, 16, 17, 17, 17, 18, 18, 19, 20];

/// When somebody calls the support desk.
const SUPPORT_HOURS: [i64; 16] = [7, 8, 8, 9, 9, 10, 11, 13, 14, 14, 15, 15, 16, 17, 18, 19];

/// … and when only somebody far away does.
const NIGHT: [i64; 6] = [1, 2, 4, 5, 22, 23];

/// A call that is to take place.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) room: usize,
    pub(super) start: Time,
    pub(super) length: TimeDelta,
    /// Nothing goes wrong with it.
    pub(super) is_sure: bool,
}

impl Slot {
    /// Between two calls in a room there is a minute at least.
    pub(super) fn collides_with(&self, other: &Slot) -> bool {
        let minute = TimeDelta::minutes(1);
        self.room == other.room
            && self.start < other.start + other.length + minute
            && other.start < self.start + self.length + minute
    }
}

/// The first instant of a day.
pub(super) fn midnight(day: NaiveDate) -> Time {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The calls of a day, whatever the time is now.
pub(super) fn of_day(seed: u64, day: NaiveDate) -> Vec<Slot> {
    let mut random = Random::new(seed, &format!("timetable {day}"));
    let mut slots = Vec::new();
    for room in 0..rooms::ROOMS {
        for (hour, minutes) in calls(&mut random, rooms::kind(room), room, day.weekday()) {
            let start = midnight(day) + TimeDelta::hours(hour) + random.seconds(0..=150);
            let length = TimeDelta::minutes(minutes) + random.seconds(0..=100);
            let slot = Slot { room, start, length, is_sure: false };
            if !slots.iter().any(|other| slot.collides_with(other)) {
                slots.push(slot);
            }
        }
    }
    slots
}

/// The hours at which calls begin in a room on a day of the week, and how many minutes they last.
fn calls(random: &mut Random, kind: Kind, room: usize, weekday: Weekday) -> Vec<(i64, i64)> {
    let is_weekend = matches!(weekday, Weekday::Sat | Weekday::Sun);
    let busy = if weekday == Weekday::Sat { 0.25 } else { 0.08 };
    let day = weekday.num_days_from_monday() as usize;
    match kind {
        Kind::Lesson => {
            let count = if is_weekend {
                usize::from(random.chance(busy))
            } else {
                random.pick(&[0, 0, 0, 0, 1, 1, 1, 1, 1, 2])
            };
            (0..count).map(|_| (random.pick(&HOURS), random.pick(&[27, 42, 42, 52, 52, 52]))).collect()
        }
        Kind::Group if day == room % 5 => vec![(15 + (room % 3) as i64, 52)],
        Kind::Webinar if day == 1 + room % 3 => vec![(16 + (room % 2) as i64, 72 + 6 * (room % 3) as i64)],
        Kind::Support => {
            let count = if is_weekend { usize::from(random.chance(busy)) } else { random.pick(&[0, 1, 1, 1]) };
            let by_day = (0..count).map(|_| (random.pick(&SUPPORT_HOURS), 6 + random.below(18) as i64));
            let mut calls: Vec<(i64, i64)> = by_day.collect();
            if random.chance(0.05) {
                calls.push((random.pick(&NIGHT), 8));
            }
            calls
        }
        Kind::Group | Kind::Webinar | Kind::Closed => Vec::new(),
    }
}

/// The calls around the moment at which somebody looks: some are under way, one has just ended, others begin within
/// the hour; and one began today, however early it is.
pub(super) fn around(random: &mut Random, now: Time) -> Vec<Slot> {
    let (support, group) = (rooms::ROOMS - 4, rooms::LESSONS);
    // Room, minutes until it begins, and how many it lasts.
    let calls = [
        (2, -56, 52),
        (0, -38, 52),
        (9, -31, 52),
        (3, -24, 42),
        (group, -18, 52),
        (6, -12, 52),
        (support + 1, -7, 15),
        (4, 8, 42),
        (support + 2, 15, 12),
        (11, 21, 27),
        (8, 33, 52),
    ];
    let mut slots: Vec<Slot> = calls
        .into_iter()
        .map(|(room, begins_in, minutes)| Slot {
            room,
            start: now + TimeDelta::minutes(begins_in) + random.seconds(0..=40),
            length: TimeDelta::minutes(minutes) + random.seconds(0..=40),
            is_sure: true,
        })
        .collect();
    let start = midnight(now.date_naive()).max(now - TimeDelta::minutes(3));
    slots.push(Slot { room: support, start, length: TimeDelta::minutes(14), is_sure: true });
    slots
}

/// The day so many days before.
pub(super) fn days_before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}

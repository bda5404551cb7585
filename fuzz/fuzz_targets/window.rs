//! Any slice cut in two: the pieces touch at a whole second strictly inside, and are the slice again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_100ms::streams::{Scope, Slice, Timestamp, Window};
use source_100ms::sync::window::cut;

const SECOND: i64 = 1_000_000;
/// 2020-01-01: where a slice without a beginning is cut from.
const BEGINNING: i64 = 1_577_836_800 * SECOND;
/// The years 0 to 9999: no state and no answer can say another time.
const YEARS: (i64, i64) = (-62_167_219_200 * SECOND, 253_402_300_800 * SECOND);

fuzz_target!(|input: (i64, Option<i64>, Option<i64>, bool)| {
    let (oldest, after, before, has_token) = input;
    let time = |micros: i64| Timestamp::from_micros(YEARS.0 + micros.rem_euclid(YEARS.1 - YEARS.0));
    let oldest = time(oldest);
    let token = has_token.then(|| "token".to_owned());
    let window = Window { after: after.map(time), before: before.map(time) };
    let slice = Slice { token, ..Slice::new("ended", Scope::Window(window)) };
    let after = window.after.map_or(BEGINNING, Timestamp::as_micros);
    let oldest = window.before.map_or(oldest, |before| before.min(oldest));
    let Some((newer, older)) = cut(&slice, oldest) else {
        // Two seconds always hold a whole one strictly inside.
        assert!(oldest.as_micros() - after <= 2 * SECOND, "{slice:?} was not cut before {oldest}");
        return;
    };
    let cut_at = older.window().before;
    let mid = cut_at.expect("the older piece ends at the cut").as_micros();
    assert_eq!(mid % SECOND, 0);
    assert!(after < mid && mid < oldest.as_micros());
    assert_eq!(newer, Slice { scope: Scope::Window(Window { after: cut_at, ..window }), ..slice.clone() });
    assert_eq!(older, Slice { scope: Scope::Window(Window { before: cut_at, ..window }), token: None, ..slice });
});

//! Any slice cut into pieces: they touch at whole seconds strictly inside, and together are the slice again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use source_100ms::streams::{Scope, Slice, Timestamp, Window};
use source_100ms::sync::window::cut;

const SECOND: i64 = 1_000_000;
/// 2020-01-01: where a slice without a beginning is cut from.
const BEGINNING: i64 = 1_577_836_800 * SECOND;
/// The years 0 to 9999: no state and no answer can say another time.
const YEARS: (i64, i64) = (-62_167_219_200 * SECOND, 253_402_300_800 * SECOND);

fuzz_target!(|input: (i64, Option<i64>, Option<i64>, bool, u8)| {
    let (oldest, after, before, has_token, cuts) = input;
    let time = |micros: i64| Timestamp::from_micros(YEARS.0 + micros.rem_euclid(YEARS.1 - YEARS.0));
    let oldest = time(oldest);
    let token = has_token.then(|| "token".to_owned());
    let window = Window { after: after.map(time), before: before.map(time) };
    let slice = Slice { token, ..Slice::new("ended", Scope::Window(window)) };
    let after = window.after.map_or(BEGINNING, Timestamp::as_micros);
    let oldest = window.before.map_or(oldest, |before| before.min(oldest));
    let cuts = usize::from(cuts) + 1;
    let Some((newer, older)) = cut(&slice, oldest, cuts) else {
        // Two seconds always hold a whole one strictly inside.
        assert!(oldest.as_micros() - after <= 2 * SECOND, "{slice:?} was not cut before {oldest}");
        return;
    };
    assert!((1..=cuts).contains(&older.len()));
    let mut begins = newer.window().after;
    assert_eq!(newer, Slice { scope: Scope::Window(Window { after: begins, ..window }), ..slice.clone() });
    let mut newest = oldest.as_micros();
    for piece in &older {
        let at = begins.expect("a piece that is not the last begins at a cut").as_micros();
        assert!(at % SECOND == 0 && after < at && at < newest);
        newest = at;
        let Window { after, before } = piece.window();
        assert_eq!(before, begins);
        assert_eq!(*piece, Slice { scope: Scope::Window(Window { after, before }), token: None, ..slice.clone() });
        begins = after;
    }
    assert_eq!(begins, window.after);
});

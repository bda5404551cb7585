//! Names that say that their value is about a person: keys of objects, known ones and those of tomorrow.

use std::sync::LazyLock;

use crate::records::spelling::{LONGEST, Names, last_letters};

/// What a name tells of its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tells {
    /// It is about a person, wherever it stands.
    Person,
    /// It is what somebody wrote, or may hold it. In settings it is what a developer wrote.
    FreeText,
    /// It is a person's where people are described. Elsewhere things have it too: a role has a name.
    OfItsOwner,
    /// It is a thing, and so is what is below it.
    Thing,
    /// It describes what somebody's devices are: a label such as "Ada's AirPods" and ids that a browser gives.
    Devices,
    /// Of a device: it says what sort of device it is.
    SortOfDevice,
}

/// The one table of names that tell of a person. The documentation repeats it ("Personal data").
static NAMES: &[(Tells, &str)] = &[
    // Who it is, in your own system. What only 100ms has a number for (a peer, a session) is not here.
    (Tells::Person, "*userid *userids *username *usernames *deviceid *devicelabel *devicename user login uid"),
    // Who did it: `started_by`, `stoppedBy`, `removed_by`.
    (Tells::Person, "*edby sentby sender recipient author speaker"),
    // How somebody is called. A room is often called after who meets there.
    (
        Tells::Person,
        "*peername *displayname *fullname *firstname *lastname *givenname *familyname *nickname *surname \
         *participantname *sendername *speakername *customername *roomname",
    ),
    (Tells::OfItsOwner, "name"),
    // Words that a transcription has to know beforehand, which are names as a rule.
    (Tells::Person, "*vocabulary"),
    // Where to reach somebody, and how they look.
    (
        Tells::Person,
        "*email *emails *emailaddress *phone *phonenumber *ipaddress *avatar ip clientip remoteip publicip localip avatarurl photo",
    ),
    // What an app attaches to somebody. Files have metadata of another kind.
    (Tells::Person, "*usermetadata *peermetadata *userdata *userinfo *peerdata *customdata"),
    (Tells::OfItsOwner, "metadata"),
    // What somebody wrote, and messages that may repeat it.
    (
        Tells::FreeText,
        "*description *message *reason *comment *feedback *transcript text note notes title subject content body caption",
    ),
    // These have names of their own, which are no person's.
    (Tells::Thing, "error errors track tracks role roles template plugin browser os sdk"),
    // All texts below are somebody's, but for those that are the same on every machine.
    (Tells::Devices, "device devices"),
    (Tells::SortOfDevice, "kind type state status facingmode permission"),
];

/// Where a value stands, as far as the keys above it tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PersonalPlace {
    /// Where people are described.
    People,
    /// In something that is no person, among people.
    Thing,
    /// In what describes somebody's devices.
    Devices,
    /// In what developers have set up.
    Settings,
    /// There, under the name of a person: a text is one, an object is something that developers called so, such as a
    /// role.
    PersonOfSettings,
    /// In what is about a person: all of it.
    Personal,
}

impl PersonalPlace {
    /// The place of the value under `key`.
    pub fn below(self, key: &str) -> Self {
        match (self, what_tells(key)) {
            (Self::Settings, Some(Tells::Person)) => Self::PersonOfSettings,
            (Self::Personal, _) | (_, Some(Tells::Person)) => Self::Personal,
            (Self::People | Self::Thing, Some(Tells::FreeText)) | (Self::People, Some(Tells::OfItsOwner)) => {
                Self::Personal
            }
            (Self::People, Some(Tells::Thing)) | (Self::Devices, Some(Tells::SortOfDevice)) => Self::Thing,
            (Self::People | Self::Thing, Some(Tells::Devices)) => Self::Devices,
            (place, _) => place,
        }
    }

    /// Whether a text that stands there is about a person.
    pub fn is_personal(self) -> bool {
        matches!(self, Self::Personal | Self::PersonOfSettings | Self::Devices)
    }
}

fn what_tells(name: &str) -> Option<Tells> {
    static TABLE: LazyLock<Names<Tells>> = LazyLock::new(|| Names::of(NAMES));
    let mut letters = [0; LONGEST];
    TABLE.find(last_letters(name, &mut letters)).map(|(_, tells, _)| tells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_in_every_spelling() {
        for name in [
            "user_id",
            "userId",
            "customer_user_id",
            "user_name",
            "userName",
            "USERNAME",
            "user",
            "started_by",
            "stoppedBy",
            "display_name",
            "room_name",
            "customVocabulary",
            "E-Mail",
            "ip",
            "peer_metadata",
        ] {
            for place in [PersonalPlace::People, PersonalPlace::Thing, PersonalPlace::Settings] {
                assert!(place.below(name).is_personal(), "{name} in {place:?}");
            }
        }
        for name in
            ["id", "peer_id", "session_id", "customer_id", "role", "type", "code", "users", "context", "zip", ""]
        {
            assert_ne!(PersonalPlace::People.below(name), PersonalPlace::Personal, "{name}");
        }
    }

    #[test]
    fn what_a_name_tells_depends_on_where_it_stands() {
        let places = [PersonalPlace::People, PersonalPlace::Thing, PersonalPlace::Settings];
        let hidden = |name: &str| places.map(|place| place.below(name) == PersonalPlace::Personal);
        assert_eq!(hidden("name"), [true, false, false]);
        assert_eq!(hidden("metadata"), [true, false, false]);
        assert_eq!(hidden("description"), [true, true, false]);
        assert_eq!(PersonalPlace::People.below("error").below("details").below("name"), PersonalPlace::Thing);
        assert_eq!(PersonalPlace::People.below("peers").below("p").below("name"), PersonalPlace::Personal);
        assert_eq!(PersonalPlace::Personal.below("role"), PersonalPlace::Personal);
        let device = PersonalPlace::People.below("devices").below("audioOutput");
        assert_eq!(
            ["label", "groupId", "name", "kind"].map(|name| device.below(name).is_personal()),
            [true, true, true, false]
        );
    }

    #[test]
    fn the_longest_name_leaves_room_to_see_a_longer_one() {
        let mut names = NAMES.iter().flat_map(|(_, names)| names.split(' ')).map(|name| name.trim_start_matches('*'));
        assert!(names.all(|name| name.len() < LONGEST && name.bytes().all(|byte| byte.is_ascii_lowercase())));
    }

    /// The names that the documentation lists in the row of the table that begins with `row`.
    fn documented(row: &str) -> Vec<String> {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/100ms.md")).unwrap();
        let line = page.lines().find(|line| line.starts_with(&format!("| {row} | "))).unwrap_or_default();
        line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_documentation_lists_the_same_names() {
        for (tells, row) in [
            (Tells::Person, "everywhere"),
            (Tells::OfItsOwner, "where people are described"),
            (Tells::FreeText, "everywhere but in settings"),
            (Tells::Thing, "no person below"),
            (Tells::Devices, "where people are described, every text below"),
            (Tells::SortOfDevice, "not below such a key"),
        ] {
            for how in ["ends in", "is"] {
                let names = NAMES.iter().filter(|(what, _)| *what == tells).flat_map(|(_, names)| names.split(' '));
                let names = names.filter(|name| name.starts_with('*') == (how == "ends in"));
                let mut of_table: Vec<_> = names.map(|name| name.trim_start_matches('*').to_owned()).collect();
                let mut listed = documented(&format!("{row} | {how}"));
                of_table.sort();
                listed.sort();
                assert_eq!(listed, of_table, "{row}, {how}");
            }
        }
    }
}
